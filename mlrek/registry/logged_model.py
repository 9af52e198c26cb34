"""The files of a version's model, as MLflow loads them: a pyfunc model from code."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from mlrek.tables.json_text import Json

CODE = Path(__file__).with_name("served_model.py")
REQUIREMENTS = ("mlflow>=3.9,<4", "boto3>=1.34,<2", "pandas>=2.2,<4")
"""What the code needs where it is loaded: short, and no wider than what it was tried with."""

_SAVING = Lock()  # MLflow keeps the model that a code file sets in one place for all threads


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
