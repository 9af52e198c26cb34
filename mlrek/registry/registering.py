"""Registering: the run of a project's version -> one model version with a model that loads."""

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mlrek.errors import TrackingError
from mlrek.registry.door import (
    VALIDATION,
    ModelVersion,
    Registry,
    ValidationStatus,
    clean_model_name,
    find_version_of_run,
)
from mlrek.registry.own_model import OWN_MODEL_TAG, OwnModel, copy_own_model
from mlrek.render import Json
from mlrek.text import escape_markdown
from mlrek.tracking import LEFTOVER_AFTER_MS, LoggedRun
from mlrek.tracking.translation import translate_errors
from mlrek.tracking.view import temporary_folder

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel


CODE = Path(__file__).with_name("served_model.py")
REQUIREMENTS = ("mlflow>=3.9,<4", "boto3>=1.34,<2", "pandas>=2.2,<4")
"""What the code needs where it is loaded: short, and no wider than what it was tried with."""

_SAVING = Lock()  # MLflow keeps the model that a code file sets in one place for all threads

KEY_NUMBERS = (
    *("accuracy", "subset_accuracy", "f1_macro", "f1_micro"),
    *("ap", "ap_50", "ap_75", "ar_100"),
    *("mean_iou", "mean_dice", "pixel_f1"),
)
"""Aggregates that a model version names."""

COPIED_TAGS = (
    *("project_arn", "version_arn", "project_name", "version_name"),
    *("provider", "task", "test_set_digest"),
)
MODEL_NUMBERS = ("aggregate/", "at_threshold/", "reported/")
"""The run's numbers that its model has: each is a column of the table of models. Curves would
show their last step there, the threshold 100 %."""
VERSION_TAGS = ("version_name", "version_arn", "project_arn")
"""Tags of a model version besides its numbers: few, since a page shows those of all versions."""
HOW_TO_LOAD = (
    "Load it with `mlflow.pyfunc.load_model`. Its `predict` takes images as bytes, local paths or "
    "s3:// URIs and calls the version in AWS, which must be running and then costs money by the "
    "hour; nothing here starts it."
)
HOW_TO_ATTACH = (
    "It cannot be called: mlrek knows the model's predictions alone. To attach your own MLflow "
    "model, which `mlflow.pyfunc.load_model` then loads: `mlrek sync … --register --model-uri "
    "runs:/ID/model`, or `mlrek promote … --model-uri runs:/ID/model`."
)
HOW_TO_LOAD_OWN = "Load it with `mlflow.pyfunc.load_model`: it is the model {uri}, unchanged."


def register_run(
    registry: Registry,
    name: str,
    run: LoggedRun,
    known: Sequence[ModelVersion],
    own: OwnModel | None = None,
) -> tuple[LoggedRun, ModelVersion]:
    """The model version of a run; it is written only when there is none yet.

    A model version cannot be linked to another run. So when a version's run was replaced, the new
    run gets a new model version, and the one of the old run is tagged as superseded. Aliases stay
    where they are: what is served changes by a promotion only.

    Args:
        registry: Where.
        name: The registered model, which exists.
        run: A complete run of a project's version.
        known: The model's versions as listed before.
        own: Your own model that the version is to load; a version with another one is superseded.

    Returns:
        The run that is registered, which is another one where another process that logged the
        same version has settled on its own; and its model version.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    kept = _find_kept(known, run, own)
    while kept is None:
        run, trouble = _create_version(registry, name, run, own)
        known = registry.list_versions(name)
        kept = _find_kept(known, run, own)
        if kept is None and trouble is not None:
            raise trouble
    registry.set_superseded(kept, superseded=False)
    for version in known:
        is_same = version.run_id == run.run_id and (own is None or version.number == kept.number)
        if version.version_arn == run.version_arn and not is_same:
            registry.set_superseded(version, superseded=True)
    return run, kept


def _find_kept(
    known: Sequence[ModelVersion], run: LoggedRun, own: OwnModel | None
) -> ModelVersion | None:
    """The model version of a run, with your own model where one is to be loaded."""
    if own is not None:
        known = [version for version in known if version.tags.get(OWN_MODEL_TAG) == own.mark]
    return find_version_of_run(known, run.run_id)


def _create_version(
    registry: Registry, name: str, run: LoggedRun, own: OwnModel | None
) -> tuple[LoggedRun, TrackingError | None]:
    """Register a run. The run that counts afterwards comes back, and what went wrong with that.

    Until it is done another process that logged the same version may have deleted the run, having
    settled on its own, whose run id is smaller; so this happens only so often.
    """
    created, trouble = None, None
    try:
        created = _settle(registry, _create(registry, name, run, own))
    except TrackingError as exc:
        trouble = exc
    counting = registry.store.find_counting_run(run) or run
    if counting.run_id == run.run_id:
        return run, trouble
    if created is not None:
        _delete_version(registry, created)
    return counting, None


def _create(registry: Registry, name: str, run: LoggedRun, own: OwnModel | None) -> ModelVersion:
    with translate_errors(registry.store.tracking_uri):
        if own is None:
            model_id = _find_model(registry, run) or _log_model(registry, run)
        else:
            model_id = own.model_id or copy_own_model(registry, own, run)
    return registry.create_version(
        name,
        model_id=model_id,
        run_id=run.run_id,
        tags={**_describe_tags(run), **({OWN_MODEL_TAG: own.mark} if own else {})},
        description=_render_note(run, own),
    )


def _settle(registry: Registry, written: ModelVersion) -> ModelVersion:
    """Leave one model version of a run, whoever wrote it: that with the smallest number.

    One that loads another model is another one.
    """
    versions = registry.list_versions(written.name)
    mark = written.tags.get(OWN_MODEL_TAG)
    same = [v for v in versions if v.run_id == written.run_id and v.tags.get(OWN_MODEL_TAG) == mark]
    kept = find_version_of_run(same, written.run_id) or written
    for version in same:
        if version.number != kept.number:
            _delete_version(registry, version, but=kept.source)
    return kept


def _delete_version(registry: Registry, version: ModelVersion, *, but: str = "") -> None:
    """Delete a model version with its logged model, unless that is the one of `but`, or yours."""
    registry.delete_version(version)
    if version.source != but and OWN_MODEL_TAG not in version.tags:
        _delete_model(registry, version.source.removeprefix("models:/"))


def _describe_tags(run: LoggedRun) -> dict[str, str]:
    """What the registry's pages show of a version, in their order."""
    numbers = ((name, run.metrics.get(f"aggregate/{name}")) for name in KEY_NUMBERS)
    tags = {VALIDATION: ValidationStatus.PENDING.value}
    tags |= {name: f"{value:.4f}" for name, value in numbers if value is not None}
    tags |= {"test_images": run.params["test_images"]} if "test_images" in run.params else {}
    return tags | {name: run.tags[name] for name in VERSION_TAGS if name in run.tags}


def _render_note(run: LoggedRun, own: OwnModel | None) -> str:
    """The run's own note; where the model can be called, how to load it, or how to make it so."""
    note = run.tags.get("mlflow.note.content", "")
    said = {"rekognition": HOW_TO_LOAD, "custom": HOW_TO_ATTACH}.get(run.tags.get("provider", ""))
    if own is not None:
        said = HOW_TO_LOAD_OWN.format(uri=escape_markdown(own.uri))
    return "\n\n".join(filter(None, (note, said)))


# ---- the model that loads ------------------------------------------------------------------


def _find_model(registry: Registry, run: LoggedRun) -> str:
    """The model that the run has already, '' where there is none.

    A model that was never finished is somebody's work in progress until it is 15 minutes old.
    """
    client = registry.client
    found: list[LoggedModel] = []
    token = None
    while True:
        page = client.search_logged_models(
            [run.experiment_id],
            f"source_run_id = '{run.run_id}'",
            max_results=50,
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            break
    found.sort(key=lambda model: (model.creation_timestamp, model.model_id))
    ready = [model for model in found if str(model.status).endswith("READY")]
    before = int(time.time() * 1000) - LEFTOVER_AFTER_MS
    for model in found:
        if model not in ready and model.creation_timestamp < before:
            _delete_model(registry, model.model_id)
    return ready[0].model_id if ready else ""


def _log_model(registry: Registry, run: LoggedRun) -> str:
    """A logged model of the run with its files, numbers and test set; its id comes back."""
    from mlflow.entities import LoggedModelOutput

    client = registry.client
    config = describe_config(registry.store.read_artifact(run.run_id, "evaluation.json"))
    name = clean_model_name(run.tags.get("version_name", ""))
    tags = {name: run.tags[name] for name in COPIED_TAGS if name in run.tags}
    created = registry.store.write_fitting(
        lambda fit: client.create_logged_model(
            run.experiment_id,
            name=fit(name),
            source_run_id=run.run_id,
            tags={key: fit(value) for key, value in tags.items()},
            params=dict(run.params),
            model_type=run.tags.get("provider", ""),
        )
    )
    model_id = str(created.model_id)
    with temporary_folder() as parent:
        folder = parent / "model"
        save_model(folder, config, model_id=model_id, run_id=run.run_id)
        client.log_model_artifacts(model_id, str(folder))
    _log_numbers(registry, run, model_id)
    client.log_outputs(run.run_id, [LoggedModelOutput(model_id, step=0)])
    client.finalize_logged_model(model_id, "READY")
    return model_id


def _log_numbers(registry: Registry, run: LoggedRun, model_id: str) -> None:
    """The run's numbers once more as the model's, on the run's test set.

    MLflow writes them to the run as well; with the time that they have there nothing new is added.
    The page of models has columns of their own for each name of a test set, and each version's
    manifest has a name of its own. So equal test sets are named alike here and others are not,
    after the project and the digest, which that page does not tell apart.
    """
    from mlflow.entities import Metric

    client = registry.client
    numbers = {k: v for k, v in run.metrics.items() if k.startswith(MODEL_NUMBERS)}
    if not numbers:
        return
    inputs = client.get_run(run.run_id).inputs
    dataset = inputs.dataset_inputs[0].dataset if inputs and inputs.dataset_inputs else None
    project = run.tags.get("project_name", "")
    test_set = f"{project} test set {dataset.digest[:8] if dataset else ''}".strip()
    time_ms = client.get_metric_history(run.run_id, next(iter(numbers)))[-1].timestamp
    client.log_batch(
        run.run_id,
        metrics=[
            Metric(
                key,
                value,
                time_ms,
                0,
                model_id=model_id,
                dataset_name=test_set if dataset else None,
                dataset_digest=dataset.digest if dataset else None,
                run_id=run.run_id,
            )
            for key, value in numbers.items()
        ],
    )


def _delete_model(registry: Registry, model_id: str) -> None:
    from mlflow.exceptions import MlflowException

    with translate_errors(registry.store.tracking_uri):
        try:
            registry.client.delete_logged_model(model_id)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise


def describe_config(document: bytes) -> dict[str, Json]:
    """The model's config from the run's `evaluation.json`: who is called, and what was published.

    `thresholds` are those that the service assumed for each label: it applies them by itself, so
    they are there to be read.
    """
    found = json.loads(document)
    arn = str(found["version"]["arn"])
    return {
        "provider": found["provider"],
        "version_arn": arn,
        "project_arn": found["project"]["arn"],
        "region": find_region(arn),
        "task": found["task"],
        "labels": found["labels"],
        "thresholds": {
            row["label"]: row["threshold"]
            for row in found["per_label"]
            if row.get("threshold") is not None
        },
    }


def find_region(arn: str) -> str:
    """The region of an AWS ARN, '' for any other name."""
    scheme, _, _, region, *_ = (*arn.split(":"), "", "", "", "")
    return region if scheme == "arn" else ""


def save_model(folder: Path, config: Mapping[str, Json], *, model_id: str, run_id: str) -> None:
    """Write the model's files to a folder that does not exist yet."""
    from mlflow import pyfunc
    from mlflow.models import Model

    model = Model(run_id=run_id, model_id=model_id)
    with _SAVING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for an example of the input, which is left open
        pyfunc.save_model(
            folder,
            python_model=str(CODE),
            model_config=dict(config),
            pip_requirements=list(REQUIREMENTS),
            signature=_describe_signature(),  # type: ignore[no-untyped-call]
            mlflow_model=model,
        )
    # MLflow notes where the code lay on this machine, which is nobody's business, and no use
    model.flavors["python_function"]["model_code_path"] = CODE.name
    model.save(str(folder / "MLmodel"))


def _describe_signature():  # type: ignore[no-untyped-def]  # noqa: ANN202
    """The result's columns, and the one parameter. The input is left open: bytes, paths, URIs."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    texts = [
        ColSpec(DataType.string, name, required=name == "image") for name in ("image", "label")
    ]
    numbers = [
        ColSpec(DataType.double, name, required=False)
        for name in ("confidence", "left", "top", "width", "height")
    ]
    return ModelSignature(
        outputs=Schema([*texts, *numbers]),
        params=ParamSchema([ParamSpec("min_confidence", DataType.double, default=None)]),
    )
