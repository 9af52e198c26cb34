"""Runs `mlrek evaluate`: a version and its answers on your own test set -> another run of it.

A run on your own test set has the tag `mlrek.exam` (the test set's digest). It never counts
as *the* run of its version, which is the one on the provider's test set.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from mlrek.errors import UsageError
from mlrek.evaluation import Evaluation, Provider, SourceFile
from mlrek.figures.pictures import ReadImages
from mlrek.formats.columns import ManifestInput
from mlrek.formats.doubts import complete_doubts
from mlrek.formats.files import ITSELF
from mlrek.formats.forms import convert_responses, read_answers, read_truth, recognise
from mlrek.formats.predictions import Answers, JoinOptions
from mlrek.formats.predictions.join import join_own_test_set
from mlrek.formats.predictions.of_version import join_known_version, keep_predictions
from mlrek.formats.predictions.responses import Responses, parse_responses
from mlrek.formats.tables.lists import read_label_map, read_thresholds
from mlrek.formats.truth import GroundTruth
from mlrek.metrics.test_set import hide_signatures, test_set_digest
from mlrek.runs.calling import Watch, call_missing
from mlrek.runs.log import Target, choose_experiment, clean_up, log_run, write_note
from mlrek.sources import AwsOptions
from mlrek.sources.any_storage import open_storage
from mlrek.sources.aws import AwsClients
from mlrek.sources.contents import add_found, choose_storage, keep_contents, read_contents
from mlrek.sources.custom import LABEL_MAP, THRESHOLDS, ReadPlace, open_place
from mlrek.sources.description import parse_arn
from mlrek.sources.entries import (
    FoundContents,
    Part,
    PartReader,
    ReadOptions,
    SeenInTraining,
    VersionEntry,
)
from mlrek.sources.images import read_images, read_images_below
from mlrek.sources.rekognition_now import Endpoint
from mlrek.sources.slices import add_asked_columns
from mlrek.sources.storage import S3_SCHEME, parent_uri
from mlrek.text import escape_markdown, escape_unencodable
from mlrek.tracking import (
    AUTO_IMAGES,
    MAX_TAG,
    NO_IMAGES,
    OWN_TEST_SET_NAME_TAG,
    OWN_TEST_SET_TAG,
    LoggedRun,
    current_runs,
)
from mlrek.tracking.description import (
    LOG_SCHEMA,
    Options,
    RunDescription,
    compute_knowledge,
    describe_drawn,
    read_earlier,
)
from mlrek.tracking.drawn import read_drawn
from mlrek.tracking.links import VIEW_TAGS, build_run_link
from mlrek.tracking.store import Store

TRUTH_ROLE = "ground_truth"
RESPONSES_ROLE = "responses"

_MAX_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTestSetOptions:
    """What to test a version on. Places are paths or `s3://` URIs; `name` '' is the manifest's.

    With `call` the version's endpoint is asked about what `responses` does not answer yet; `force`
    replaces a run by one that knows less. `predictions` are answers of any form, joined as
    `joining` says; `thresholds` and `label_map` are places of files.
    """

    manifest: str
    responses: str = ""
    predictions: str = ""
    joining: JoinOptions = field(default_factory=JoinOptions)
    thresholds: str = ""
    label_map: str = ""
    call: bool = False
    force: bool = False
    name: str = ""
    attributes: tuple[str, ...] = ()
    jobs: int = 8
    experiment: str = ""
    options: Options = field(default_factory=Options)
    aws: AwsOptions = field(default_factory=AwsOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEvaluation:
    """A version's evaluation on your own test set, not logged yet.

    `read_images` gives the content of test images for pictures, where they are within reach;
    `find_contents` tells what their bytes are, without being part of what makes it another run.
    """

    evaluation: Evaluation
    name: str
    digest: str
    read_images: ReadImages | None = None
    find_contents: Callable[[], FoundContents] = FoundContents


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTestSetResult:
    """What became of your own test set: `action` is `created`, `unchanged` or `replaced`.

    `others` are the runs of other versions on the same test set, by training start. `views` are the
    tags of the views of its pages that the experiment keeps. `kept` says why a run that knows more
    was not replaced, '' where there was no such thing.
    """

    own: OwnEvaluation
    action: str
    run: LoggedRun
    experiment: str
    experiment_id: str
    link: str
    reason: str = ""
    kept: str = ""
    others: tuple[LoggedRun, ...] = ()
    views: frozenset[str] = frozenset()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the numbers must know."""
        said = self.run.tags.get("mlrek.warnings", "").splitlines()
        return tuple(filter(None, (self.kept, *said)))


FindSeen = Callable[[Sequence[str]], SeenInTraining]
"""Tells which of some images the version was trained on."""


def evaluate_own_test_set(
    version: Evaluation,
    options: OwnTestSetOptions,
    *,
    watch: Watch,
    find_seen: FindSeen | None = None,
    list_trained: Callable[[], Collection[str]] | None = None,
) -> OwnEvaluation:
    """Read the truth and the answers, asking the endpoint for them where that is wanted.

    `find_seen` and `list_trained` tell what the version was trained on, where its source is known.

    Raises:
        UsageError: There are neither answers nor leave to call, or the version cannot be called.
        SourceError: A file cannot be read, or the endpoint cannot be asked.
        EvaluationError: Version, truth and answers do not fit together.
    """
    _check_answers(options)
    clients = AwsClients(options.aws)
    name = choose_name(options)
    truth, is_manifest, reader = _read_truth(options, clients)
    place = options.predictions or options.responses or _default_responses(version, name)
    if options.call:
        _call(version, truth, options, Path(place), watch)
    with _open(place, clients, reader.options) as opened:
        answered = _read_said(version, options, open_place(opened, RESPONSES_ROLE, place))
        files = (*reader.files, *opened.files)
    joining, of_lists = _read_lists(options, clients)
    if is_manifest and isinstance(answered, Responses):
        evaluation = join_own_test_set(version, truth, answered, files)
    else:
        answers = convert_responses(answered) if isinstance(answered, Responses) else answered
        evaluation = join_known_version(version, truth, answers, joining, (*files, *of_lists))
    evaluation = replace(evaluation, files=(*evaluation.files, *keep_predictions(version)))
    told = find_seen(evaluation.images) if find_seen else SeenInTraining()
    said = tuple(map(escape_unencodable, (*evaluation.warnings, *told.warnings)))
    evaluation = replace(evaluation, seen_in_training=told.seen, warnings=said)
    evaluation = add_asked_columns(evaluation, options.options.slicing, clients)
    evaluation = hide_signatures(complete_doubts(evaluation))
    return _find_images(
        OwnEvaluation(evaluation=evaluation, name=name, digest=test_set_digest(evaluation)),
        options,
        reader,
        list_trained or tuple,
    )


def _check_answers(options: OwnTestSetOptions) -> None:
    """See that there is one place that answers come from.

    Raises:
        UsageError: There is none, or there are two.
    """
    if not (options.responses or options.call or options.predictions):
        raise UsageError(
            "where are the answers? give saved ones with --responses FILE, those of any form with "
            "--predictions FILE, or ask the running version with --call"
        )
    if options.predictions and (options.responses or options.call):
        raise UsageError("--predictions are the answers: leave --responses and --call out")


def _read_said(
    version: Evaluation, options: OwnTestSetOptions, place: ReadPlace
) -> Responses | Answers:
    """What the version answered, as its service answers or in any other form."""
    arns = [a for a in (version.version.arn, version.version.copied_from) if a]
    skip = options.options.skip_bad_lines
    said: Responses | Answers
    if options.predictions:
        said = read_answers(place.files, version_arns=arns, skip_bad_lines=skip)
    else:
        said = parse_responses(
            ManifestInput(uri=place.uri, chunks=place.files.read(ITSELF)),
            version_arns=arns,
            skip_bad_lines=skip,
            is_own=options.call,
        )
    place.reader.add_file(place.describe())
    return said


def _read_lists(
    options: OwnTestSetOptions, clients: AwsClients
) -> tuple[JoinOptions, tuple[SourceFile, ...]]:
    """How answers and truth come together, with the small files that say so."""
    joining, files = options.joining, []
    for role, uri in ((THRESHOLDS, options.thresholds), (LABEL_MAP, options.label_map)):
        if uri:
            with _open(uri, clients, ReadOptions()) as reader:
                place = open_place(reader, role, uri)
                content = place.files.read_whole()
                files.append(place.describe())
            if role == THRESHOLDS:
                joining = replace(joining, thresholds=read_thresholds(content, uri))
            else:
                joining = replace(joining, label_map=read_label_map(content, uri))
    return joining, tuple(files)


def _find_images(
    own: OwnEvaluation,
    options: OwnTestSetOptions,
    reader: PartReader,
    list_trained: Callable[[], Collection[str]],
) -> OwnEvaluation:
    """With how its images are read, and what their bytes are, unless nobody wants that."""
    images, version = options.options.images, own.evaluation.version
    if images == NO_IMAGES:
        return own
    manifest = VersionEntry(version=version, parts=(Part(role=TRUTH_ROLE, uri=options.manifest),))
    folder = "" if images == AUTO_IMAGES else images
    read = (
        partial(read_images_below, open_storage(folder, AwsClients(options.aws)), folder)
        if folder
        else partial(read_images, reader.storage, manifest)
    )
    find = partial(
        read_contents,
        choose_storage(reader.storage, folder, AwsClients(options.aws)),
        manifest,
        own.evaluation.images,
        find_trained=list_trained,
        folder=folder,
    )
    return replace(own, read_images=read, find_contents=find)


def log_own_test_set(
    store: Store, own: OwnEvaluation, options: OwnTestSetOptions, environ: Mapping[str, str]
) -> OwnTestSetResult:
    """Bring the run up to date: one for each version and test set.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    version = own.evaluation.version
    chosen = choose_experiment(options.experiment, store, environ)
    experiment = store.get_or_create_experiment(version.project, chosen)
    drawn_labels = read_drawn(experiment.tags, version.project.arn)
    options = replace(options, options=replace(options.options, drawn_labels=drawn_labels))
    alike = store.list_runs(experiment.experiment_id, {OWN_TEST_SET_TAG: own.digest})
    clean_up(store, experiment.experiment_id, alike)
    target = Target(
        experiment_id=experiment.experiment_id,
        runs=tuple(run for run in alike if run.version_arn == version.arn),
        force=options.force,
        command="mlrek evaluate",
    )
    key = compute_own_key(own, options.options, _list_joining(options.joining))

    def describe() -> RunDescription:
        return describe_own_run(own, options, key, earlier=read_earlier(store, target.current))

    knows = compute_knowledge(own.evaluation)
    logged = log_run(store, target, key=key, knows=knows, describe=describe)
    if logged.action != "unchanged":
        write_note(store, experiment)
    return OwnTestSetResult(
        own=own,
        action=logged.action,
        run=logged.run,
        experiment=experiment.name,
        experiment_id=experiment.experiment_id,
        link=build_run_link(
            store.tracking_uri, experiment.experiment_id, logged.run.run_id, store.workspace
        ),
        reason=logged.reason,
        kept=logged.kept,
        others=tuple(run for run in current_runs(alike) if run.version_arn != version.arn),
        views=VIEW_TAGS & experiment.tags.keys(),
    )


def describe_own_run(
    own: OwnEvaluation, options: OwnTestSetOptions, key: str, *, earlier: bytes = b""
) -> RunDescription:
    """Everything such a run holds: what a version's run holds, and which test set it was.

    `earlier` is the `evaluation.parquet` of the run before it, where there is one.
    """
    from mlrek.runs.content import describe_run

    logged_at = datetime.now(UTC).isoformat()
    described = describe_run(
        _add_contents(own, options, earlier),
        options.options,
        state="",
        logged_at=logged_at,
        read_images=own.read_images,
    )
    note = described.tags["mlflow.note.content"]
    sentence = f"On your own test set, {escape_markdown(own.name)}, not the provider's."
    tags = {
        OWN_TEST_SET_TAG: own.digest,
        OWN_TEST_SET_NAME_TAG: own.name,
        "mlrek.evaluation_key": key,
        "mlflow.note.content": f"{sentence} {note}"[:MAX_TAG],
    }
    return replace(
        described,
        run_name=f"{own.evaluation.version.name} on {own.name}",
        tags={**described.tags, **tags},
    )


def _add_contents(own: OwnEvaluation, options: OwnTestSetOptions, earlier: bytes) -> Evaluation:
    """The evaluation with what the bytes of its images are, or were when its answers were new."""
    if earlier and options.options.images != NO_IMAGES:
        kept = keep_contents(own.evaluation, earlier, is_services=False)
        if kept is not None:
            return kept
    return add_found(own.evaluation, own.find_contents(), is_services=False)


def compute_own_key(own: OwnEvaluation, options: Options, joining: Sequence[str] = ()) -> str:
    """Content identity of such a run: all that its numbers and names depend on.

    `joining` are the ways in which answers and truth come together that are not the usual ones.
    """
    evaluation = own.evaluation
    seen = evaluation.seen_in_training
    identity = {
        "schema": LOG_SCHEMA,
        "exam": [own.digest, own.name],
        "version_arn": evaluation.version.arn,
        "files": sorted((file.role, file.sha256) for file in evaluation.files),
        "task": evaluation.task.value,
        "labels": evaluation.labels,
        "thresholds": [repr(threshold) for threshold in evaluation.thresholds.tolist()],
        "seen_in_training": None if seen is None else seen.tolist(),
        "options": options.describe(),
        **describe_drawn(len(evaluation.labels), options.drawn_labels),
        **({"joining": joining} if joining else {}),
    }
    return sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _list_joining(joining: JoinOptions) -> list[str]:
    usual = JoinOptions()
    ways = ((joining.match, usual.match), (joining.unmatched, usual.unmatched))
    return [chosen.value for chosen, default in ways if chosen != default]


def choose_name(options: OwnTestSetOptions) -> str:
    """What the test set is called: as was asked for, else as its manifest."""
    file = options.manifest.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = options.name or file.partition(".")[0] or file
    return " ".join(escape_unencodable(name).split())[:_MAX_NAME] or "exam"


def _read_truth(
    options: OwnTestSetOptions, clients: AwsClients
) -> tuple[GroundTruth, bool, PartReader]:
    """The truth, whether it is a Ground Truth manifest, and what it was read by."""
    skip = options.options.skip_bad_lines
    reader = _open(options.manifest, clients, ReadOptions(skip_bad_lines=skip))
    with reader:
        place = open_place(reader, TRUTH_ROLE, options.manifest)
        is_manifest = recognise(place.files).has_attributes
        truth = read_truth(place.files, attributes=options.attributes, skip_bad_lines=skip)
        reader.add_file(place.describe())
    return truth, is_manifest, reader


def _open(uri: str, clients: AwsClients, options: ReadOptions) -> PartReader:
    return PartReader(open_storage(uri, clients), options)


def _call(
    version: Evaluation, truth: GroundTruth, options: OwnTestSetOptions, path: Path, watch: Watch
) -> None:
    """Ask the version's own endpoint about every image that has no answer yet."""
    own = version.version
    arn = parse_arn(own.arn)
    if own.project.provider != Provider.REKOGNITION or arn is None or not arn.version_name:
        raise UsageError(
            f"{own.arn}: --call asks Rekognition's versions only, by their own ARN; give saved "
            "answers with --responses FILE"
        )
    if str(path).startswith("s3:"):
        raise UsageError("--call keeps the answers in a file here: --responses must be a path")
    region = options.aws.region or arn.region
    endpoint = Endpoint(
        clients=AwsClients(replace(options.aws, region=region)),
        version_arn=own.arn,
        folder=Path(parent_uri(options.manifest)) if _is_local(options.manifest) else Path(),
    )
    watch.say(f"answers are kept in {path}, as they come")
    call_missing(truth.images, endpoint, path, jobs=options.jobs, watch=watch)


def _is_local(uri: str) -> bool:
    return not uri.startswith(S3_SCHEME)


def _default_responses(version: Evaluation, name: str) -> str:
    """Where answers are kept when no place is named."""
    raw = f"{version.version.project.name}-{version.version.name}-{name}"
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in raw)
    return f"{safe}.responses.jsonl"
