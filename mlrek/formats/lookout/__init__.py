"""Lookout for Vision: manifest, result and description of a version -> its evaluation.

Labels are `normal` and `anomaly`, the positive class; after them, for a model that marks pixels,
its kinds of anomaly. The manifest gives the confidence c in the predicted class alone: the other
class has the confidence 1 - c, so that records are complete and the anomaly score is c or 1 - c.
Outcomes are what the service decided against the truth.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan

import numpy as np
from msgspec import Struct
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.errors import EvaluationError, ParseError
from mlrek.evaluation import (
    Doubt,
    DoubtKind,
    Evaluation,
    FloatArray,
    LabelSets,
    Outcome,
    Project,
    Provider,
    Records,
    Reported,
    Task,
    Version,
    order_labels,
)
from mlrek.formats.columns import add_up, warn_first
from mlrek.formats.doubts import complete_doubts, doubt_foreign, settle_images
from mlrek.formats.json_text import LabelName, parse_timestamp, quoted
from mlrek.formats.lines import (
    Count,
    Document,
    Number,
    check_described,
    decode_document,
    decode_summary,
    keep_count,
    keep_numbers,
    warn_repeated,
    warn_time,
)
from mlrek.formats.lookout.manifest import (
    ANOMALY,
    CLASSES,
    EMPTY_MANIFEST,
    NO_CLASS,
    LookoutInput,
    LookoutManifest,
    ReadMasks,
    is_background,
    parse_manifest,
)
from mlrek.formats.lookout.masks import count_mask_pairs, find_mask_labels, has_predicted_masks

# Any partition; the account may be masked, as it is in published examples.
_ARN = re.compile(
    r"(?P<service>arn:[a-z0-9-]+:lookoutvision:[a-z0-9-]*:[A-Za-z0-9_]*)"
    r":(?:project/(?P<project>[A-Za-z0-9_-]{1,255})"
    r"|model/(?P<project_of_model>[A-Za-z0-9_-]{1,255})/(?P<version>[1-9][0-9]{0,9}))"
)

_MODEL_ARN = re.compile(rb'"(?:ModelArn|model-arn)"\s*:\s*"([^"\\]{1,1000})"')
_SERVICE_NAME = re.compile(
    r"Evaluation(?:Manifest|Result)-(?P<project>[A-Za-z0-9_-]+)-(?P<version>[1-9][0-9]*)"
    r"(?: ?\([0-9]+\))?(?:\.|$)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutArn:
    """What the ARN of a project or of one of its models says; `version_name` is '' in a project's.

    `project` is the one it names, or that its model is of.
    """

    project: Project
    version_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutName:
    """What the service's own name of a file says."""

    project_name: str
    version_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutDescription:
    """What a description says of a model.

    `manifest_uri` and `result_uri` are where the service kept the files, '' where it names none;
    `reported` its own precision, recall and F1; `status_message` the service's words on the
    version's status.
    """

    version: Version
    manifest_uri: str = ""
    result_uri: str = ""
    reported: Mapping[str, float] = field(default_factory=dict)
    status_message: str = ""

    @property
    def names_evaluation(self) -> bool:
        """Whether there is, or was, an evaluation of this version."""
        return bool(self.manifest_uri or self.result_uri or self.reported)


class _S3Object(Struct, rename="pascal"):
    bucket: str = ""
    key: str = ""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.bucket and self.key else ""


class _Performance(Struct, rename="pascal"):
    f1_score: Number = None
    recall: Number = None
    precision: Number = None


class _Model(Struct, rename="pascal"):
    model_arn: str | None = None
    creation_timestamp: str | float | None = None
    evaluation_end_timestamp: str | float | None = None
    status: str | None = None
    status_message: str | None = None
    performance: _Performance | None = None
    evaluation_manifest: _S3Object | None = None
    evaluation_result: _S3Object | None = None


class _Answer(_Model, rename="pascal"):
    model_description: _Model | None = None


_DESCRIPTION_DECODER = Decoder(_Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutResult:
    """What a result file says.

    `pixel_labels` are the kinds of anomaly of a segmentation model, in the file's order; their
    numbers, `aiou` (average IoU) among them, are `reported.per_label`. `evaluation_end_ms` is
    milliseconds since the epoch, UTC.
    """

    model_arn: str = ""
    pixel_labels: tuple[str, ...] = ()
    has_pixel_numbers: bool = False
    reported: Reported = field(default_factory=Reported)
    evaluation_end_ms: int | None = None
    warnings: tuple[str, ...] = ()


class _PixelScores(Struct, rename="pascal"):
    class_name: LabelName
    precision: Number = None
    recall: Number = None
    f1_score: Number = None
    aiou: Number = key(name="AIOU", default=None)


class _Scores(Struct, rename="pascal"):
    roc_auc: Number = key(name="ROCAUC", default=None)
    average_precision: Number = None
    precision: Number = None
    recall: Number = None
    f1_score: Number = None
    pixel_anomaly_class_metrics: list[_PixelScores] | None = None


class _Aggregates(Struct, rename="pascal"):
    metrics: _Scores | None = None


class _Details(Struct, rename="pascal"):
    model_arn: str | None = None
    evaluation_end_timestamp: str | float | None = None
    number_of_training_images: Count = None
    number_of_testing_images: Count = None


class _ResultFile(Struct, rename="pascal"):
    evaluation_details: _Details | None = None
    aggregated_evaluation_results: _Aggregates | None = None


_RESULT_DECODER = Decoder(_ResultFile)

__all__ = [
    "Document",
    "LookoutDescription",
    "LookoutInput",
    "LookoutResult",
    "ReadMasks",
    "find_lookout_version",
    "parse_description",
    "parse_lookout_evaluation",
    "parse_lookout_name",
    "parse_result",
]

# By whether the service decided for a class, then by whether it is true.
_OUTCOMES = np.array([[Outcome.TN, Outcome.FN], [Outcome.FP, Outcome.TP]], dtype=np.uint8)


def parse_lookout_evaluation(
    version: Version,
    *,
    manifest: LookoutInput | None = None,
    result: Document | None = None,
    description: LookoutDescription | None = None,
    skip_bad_lines: bool = False,
    warnings: Sequence[str] = (),
) -> Evaluation:
    """The evaluation of one version from what there is of it.

    It is of a model that marks pixels when the result has numbers of pixels or the manifest names
    predicted masks. `Evaluation.files` is left empty: sizes and hashes are known to the caller once
    the manifest's last chunk is read.

    Args:
        version: What is known of the version.
        manifest: The evaluation manifest; without it the evaluation has no images.
        result: The result file, with the service's own numbers.
        description: The service's description of the model; its numbers count where the result
            has none.
        skip_bad_lines: Leave malformed lines out, counted in a warning, instead of failing.
        warnings: What the caller noticed before; they come first.

    Raises:
        ParseError: A file is not what it should be.
        EvaluationError: There is nothing at all.
    """
    described = description.reported if description else {}
    if manifest is None and result is None and not described:
        raise EvaluationError(f"{version.arn}: no manifest, no result and no reported number")
    found = parse_result(result.uri, result.data) if result else LookoutResult()
    told = found if _is_own(version, found) else LookoutResult(warnings=found.warnings)
    columns = EMPTY_MANIFEST
    if manifest is not None:
        columns = parse_manifest(manifest, skip_bad_lines=skip_bad_lines)
    evaluation = _join(version, columns, told, manifest.read_masks if manifest else None)
    evaluation = replace(
        evaluation,
        reported=replace(told.reported, aggregate={**described, **told.reported.aggregate}),
        summary=result.data if result else b"",
        doubts=(*_doubt_version(version, columns, found, evaluation.task), *evaluation.doubts),
        warnings=(
            *warnings,
            *told.warnings,
            *check_described(described, told.reported.aggregate, what="model", file="result"),
            *columns.warnings,
            *evaluation.warnings,
        ),
    )
    return complete_doubts(evaluation)


def _join(
    version: Version, columns: LookoutManifest, told: LookoutResult, read_masks: ReadMasks | None
) -> Evaluation:
    marks_pixels = told.has_pixel_numbers or has_predicted_masks(columns)
    found = find_mask_labels(columns) if marks_pixels else set()
    labels = order_labels((*CLASSES, *told.pixel_labels), found)
    masks, doubts = None, list[Doubt]()
    said = list(_warn_unused_masks(columns))
    if marks_pixels:
        codes = {label: code for code, label in enumerate(labels)}
        masks, doubts, said = count_mask_pairs(columns, codes, read_masks)
    evaluation = Evaluation(
        version=version,
        task=Task.SEGMENTATION if marks_pixels else Task.CLASSIFICATION,
        labels=labels,
        images=columns.images,
        truth=_make_truth(columns),
        records=_make_records(columns),
        thresholds=np.full(len(labels), nan),
        masks=masks,
        pos_label=ANOMALY,
        doubts=(*columns.doubts, *doubts),
        warnings=(*_check_confidence(columns), *said),
    )
    has_mask = np.array([ref is not None for ref in columns.true_masks], dtype=np.bool_)
    return settle_images(
        evaluation,
        is_labelled=(columns.y_true != NO_CLASS) | (has_mask & marks_pixels),
        is_answered=columns.y_pred != NO_CLASS,
    )


def _make_truth(columns: LookoutManifest) -> LabelSets:
    is_labelled = columns.y_true != NO_CLASS
    return LabelSets(
        offsets=add_up(is_labelled), label_idx=columns.y_true[is_labelled].astype(np.int32)
    )


def _make_records(columns: LookoutManifest) -> Records:
    """A record of each class for each image that has a prediction."""
    is_answered = columns.y_pred != NO_CLASS
    y_true, y_pred = (y[is_answered, np.newaxis] for y in (columns.y_true, columns.y_pred))
    classes = np.arange(len(CLASSES))
    outcome = _OUTCOMES[(y_pred == classes).astype(int), (y_true == classes).astype(int)]
    outcome[y_true[:, 0] == NO_CLASS] = Outcome.UNKNOWN
    return Records(
        offsets=add_up(is_answered * len(CLASSES)),
        label_idx=np.tile(classes, len(y_pred)).astype(np.int32),
        confidence=_score_classes(columns)[is_answered].ravel(),
        outcome=outcome.ravel(),
    )


def _score_classes(columns: LookoutManifest) -> FloatArray:
    """The confidence in each class, (n_images, 2): c in the predicted one, 1 - c in the other."""
    is_predicted = columns.y_pred[:, np.newaxis] == np.arange(len(CLASSES))
    confidence = columns.confidence[:, np.newaxis]
    return np.where(is_predicted, confidence, 1 - confidence)


def _check_confidence(columns: LookoutManifest) -> Iterator[str]:
    """Where the class that the service decided for is not the one it is more sure of."""
    is_answered = columns.y_pred != NO_CLASS
    top = np.argmax(_score_classes(columns), axis=1)  # a tie is normal, as in label order
    what = (
        "predictions have a confidence that speaks for the other class: the confidence counts, and "
        "the decision in at_threshold/ alone"
    )
    is_doubtful = is_answered & (top != columns.y_pred)
    yield from warn_first(columns.images, is_doubtful, what, of=int(is_answered.sum()))


def _is_own(version: Version, told: LookoutResult) -> bool:
    """Whether a result is of this version, or does not say of which."""
    return told.model_arn in {"", version.arn}


def _doubt_version(
    version: Version, columns: LookoutManifest, told: LookoutResult, task: Task
) -> Iterator[Doubt]:
    """A result of another version is not used; answers of another one stop everything."""
    if not _is_own(version, told):
        yield doubt_foreign("result", told.model_arn, task)
    for arn in columns.model_arns:
        if arn != version.arn:
            yield Doubt(
                kind=DoubtKind.FOREIGN_SUMMARY,
                text=f"the manifest holds the answers of another version: {quoted(arn)}",
            )


def _warn_unused_masks(columns: LookoutManifest) -> Iterator[str]:
    if n := sum(ref is not None for ref in columns.true_masks):
        yield (
            f"{n} of {len(columns.images)} images have a true mask, but no predicted mask and no "
            "number of pixels is there: this is read as a model that marks none"
        )


def parse_description(uri: str, data: bytes) -> LookoutDescription:
    """What a description says.

    Training starts when the model was created and ends with its evaluation, the last step of it.

    Raises:
        ParseError: It is no JSON object, a field is of another kind, or it names no model.
    """
    answer = decode_document(_DESCRIPTION_DECODER, uri, data, "the description of a model")
    model = answer.model_description or answer
    version = parse_lookout_version(model.model_arn or "")
    if version is None:
        raise ParseError(uri, 0, f"ModelArn is not the ARN of a model: {quoted(model.model_arn)}")
    scores = model.performance or _Performance()
    return LookoutDescription(
        version=replace(
            version,
            status=model.status or "",
            training_start_ms=parse_timestamp(model.creation_timestamp),
            training_end_ms=parse_timestamp(model.evaluation_end_timestamp),
        ),
        manifest_uri=(model.evaluation_manifest or _S3Object()).uri,
        result_uri=(model.evaluation_result or _S3Object()).uri,
        reported=keep_numbers(precision=scores.precision, recall=scores.recall, f1=scores.f1_score),
        status_message=" ".join((model.status_message or "").split()),
    )


def parse_lookout_arn(text: str) -> LookoutArn | None:
    """The parts of a project's or a model's ARN; None for anything else."""
    match = _ARN.fullmatch(text)
    if match is None:
        return None
    name = match["project"] or match["project_of_model"]
    project = Project(
        provider=Provider.LOOKOUT, arn=f"{match['service']}:project/{name}", name=name
    )
    return LookoutArn(project=project, version_name=match["version"] or "")


def parse_lookout_version(text: str) -> Version | None:
    """The version that a model's ARN names; None when it is not the ARN of a model."""
    arn = parse_lookout_arn(text)
    if arn is None or not arn.version_name:
        return None
    return Version(project=arn.project, arn=text, name=arn.version_name)


def find_lookout_version(head: bytes) -> Version | None:
    """The version that the first bytes of a manifest or a result name; None where none is."""
    match = _MODEL_ARN.search(head)
    return parse_lookout_version(match[1].decode("ascii", "replace")) if match else None


def parse_lookout_name(name: str) -> LookoutName | None:
    """What the name of a downloaded file says; None when the service did not give it.

    >>> parse_lookout_name("EvaluationResult-wood-panels-2 (1).json")
    LookoutName(project_name='wood-panels', version_name='2')
    """
    match = _SERVICE_NAME.search(name)
    return match and LookoutName(project_name=match["project"], version_name=match["version"])


def parse_result(uri: str, data: bytes) -> LookoutResult:
    """What a result file says; a number it leaves out, or gives as null or NaN, is absent.

    Raises:
        ParseError: It is not JSON, a key holds something else than its format says, or it is
            another file.
    """
    file = decode_summary(_RESULT_DECODER, uri, data, "a Lookout for Vision evaluation result")
    details = file.evaluation_details or _Details()
    aggregates = file.aggregated_evaluation_results or _Aggregates()
    scores = aggregates.metrics or _Scores()
    kinds = scores.pixel_anomaly_class_metrics or []
    end_ms = parse_timestamp(details.evaluation_end_timestamp)
    return LookoutResult(
        model_arn=details.model_arn or "",
        pixel_labels=tuple(
            dict.fromkeys(kind.class_name for kind in kinds if not is_background(kind.class_name))
        ),
        has_pixel_numbers=scores.pixel_anomaly_class_metrics is not None,
        reported=_report(scores, kinds, details),
        evaluation_end_ms=end_ms,
        warnings=(
            *warn_repeated(uri, [kind.class_name for kind in kinds]),
            *warn_time(uri, details.evaluation_end_timestamp, end_ms),
        ),
    )


def _report(scores: _Scores, kinds: Iterable[_PixelScores], details: _Details) -> Reported:
    per_label: dict[str, Mapping[str, float]] = {}
    for kind in kinds:
        numbers = keep_numbers(
            precision=kind.precision, recall=kind.recall, f1=kind.f1_score, aiou=kind.aiou
        )
        per_label.setdefault(kind.class_name, numbers)
    return Reported(
        aggregate=keep_numbers(
            precision=scores.precision,
            recall=scores.recall,
            f1=scores.f1_score,
            roc_auc=scores.roc_auc,
            average_precision=scores.average_precision,
        ),
        per_label=per_label,
        test_images=keep_count(details.number_of_testing_images),
        train_images=keep_count(details.number_of_training_images),
    )
