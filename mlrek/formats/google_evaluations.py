"""Resources -> evaluations: which parts belong together, and which version they are of."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from posixpath import basename, dirname, splitext
from typing import Any, TypeVar

from mlrek.errors import ParseError
from mlrek.formats.google_documents import Found, Resources
from mlrek.formats.google_identity import Directory
from mlrek.formats.google_names import GoogleName, ModelKey
from mlrek.formats.google_published import PublishedEvaluation, PublishedPart
from mlrek.formats.google_resources import EvaluationResource, SliceOf, SliceResource
from mlrek.formats.timestamps import parse_timestamp

T = TypeVar("T")

_PER_LABEL = "annotationSpec"
_NO_ID = "not available"  # what AutoML Tables writes where a label's id should be


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOf:
    """An evaluation and the version it is of; `key` is None where nothing tells the model.

    `file` is the document of its overall part, or of its first label.
    """

    key: ModelKey | None
    number: str
    file: str
    published: PublishedEvaluation
    created_ms: int | None
    is_legacy: bool
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All documents that it stands in."""
        return tuple(dict.fromkeys((self.file, *(part.file for part in self.published.labels))))


def group_evaluations(
    resources: Resources, directory: Directory
) -> dict[tuple[ModelKey | None, str], list[EvaluationOf]]:
    """The evaluations of each model and version; of no known model, each by its file."""
    grouped: dict[tuple[ModelKey | None, str], list[EvaluationOf]] = {}
    for found in _list_evaluations(resources, directory):
        grouped.setdefault((found.key, found.number if found.key else found.file), []).append(found)
    return grouped


def _list_evaluations(resources: Resources, directory: Directory) -> list[EvaluationOf]:
    """Every evaluation, by its files' names; without metrics it has no parts."""
    slices = _without_repeats(resources.slices)
    found = _without_repeats(_fill_placeholders(resources.evaluations, slices))
    legacy = [one for one in found if one.name.is_legacy_evaluation]
    newer = [one for one in found if not one.name.is_legacy_evaluation]
    return [
        *_group_legacy(legacy),
        *_group_slices(newer, slices, directory),
        *(_describe_nameless(file, content, directory) for file, content in resources.nameless),
    ]


def warn_repeats(resources: Resources) -> Iterator[str]:
    """Evaluations that stand in several files, with different content."""
    first: dict[GoogleName, tuple[str, bytes]] = {}
    found: list[Found[Any]] = [*resources.evaluations, *resources.slices]
    for one in found:
        file, raw = first.setdefault(one.name, (one.file, one.raw))
        if raw != one.raw and not one.name.has_placeholder:
            yield (
                f"{one.file}: evaluation {one.name.evaluation} stands with other content in "
                f"{file}; that one counts"
            )


def _without_repeats(found: Iterable[Found[T]]) -> list[Found[T]]:
    """The first of each name."""
    first: dict[GoogleName, Found[T]] = {}
    for one in found:
        first.setdefault(one.name, one)
    return list(first.values())


def _group_legacy(found: Iterable[Found[EvaluationResource]]) -> Iterator[EvaluationOf]:
    """One evaluation a model: overall and each label are evaluations of their own there."""
    by_model: dict[ModelKey, list[Found[EvaluationResource]]] = {}
    for one in found:
        by_model.setdefault(one.name.key, []).append(one)
    for key, evaluations in by_model.items():
        parts = [_make_part(one) for one in evaluations if one.content.any_metrics]
        by_label: dict[tuple[str, str], list[PublishedPart]] = {}
        for part in parts:
            by_label.setdefault((part.label, part.label_id), []).append(part)
        chosen = {label: max(alike, key=_preference) for label, alike in by_label.items()}
        overall = chosen.pop(("", ""), None)
        first = overall or next(iter(chosen.values()), None)
        yield EvaluationOf(
            key=key,
            number="",
            file=first.file if first else evaluations[0].file,
            published=PublishedEvaluation(
                id=first.id if first else evaluations[0].name.evaluation,
                overall=overall,
                labels=tuple(chosen.values()),
            ),
            created_ms=first.created_ms if first else None,
            is_legacy=True,
        )


def _make_part(found: Found[EvaluationResource]) -> PublishedPart:
    content = found.content
    label_id = content.annotation_spec_id or ""
    return PublishedPart(
        file=found.file,
        id=found.name.evaluation,
        metrics=content.any_metrics,
        is_legacy=found.name.is_legacy_evaluation,
        schema=content.metrics_schema_uri or "",
        label=(content.display_name or "") if found.name.is_legacy_evaluation else "",
        label_id="" if label_id == _NO_ID else label_id,
        created_ms=parse_timestamp(content.create_time),
        test_images=content.evaluated_example_count,
    )


def _preference(part: PublishedPart) -> tuple[float, int]:
    """Of evaluations of one label: the one over all predictions of an image, then the newest."""
    try:
        position = max((grid.position for _, grid in part.parse().grids), default=0.0)
    except ParseError:
        position = inf  # not passed over: it is refused, with its reason
    return position, part.created_ms or 0


def _group_slices(
    evaluations: Iterable[Found[EvaluationResource]],
    slices: Iterable[Found[SliceResource]],
    directory: Directory,
) -> Iterator[EvaluationOf]:
    """An evaluation with its slices; of slices alone, an evaluation without an overall part."""
    by_name: dict[tuple[ModelKey, str], list[Found[SliceResource]]] = {}
    for one in slices:
        by_name.setdefault((one.name.key, one.name.evaluation), []).append(one)
    for evaluation in evaluations:
        own = by_name.pop((evaluation.name.key, evaluation.name.evaluation), [])
        yield _describe(evaluation, own, directory)
    for own in by_name.values():
        yield _describe(None, own, directory)


def _describe(
    evaluation: Found[EvaluationResource] | None,
    slices: Sequence[Found[SliceResource]],
    directory: Directory,
) -> EvaluationOf:
    first = evaluation or slices[0]
    created_ms = parse_timestamp(first.content.create_time)
    versions = [one.name.version for one in slices if one.name.version]
    name = replace(first.name, version=first.name.version or next(iter(versions), ""))
    number, doubt = directory.find_number(name, first.file, created_ms)
    labels = tuple(part for one in slices if (part := _make_label_part(one)))
    overall = _make_part(evaluation) if evaluation and evaluation.content.any_metrics else None
    n_others = len(slices) - len(labels)
    others = f"{n_others} slices are not those of a label and are left out" if n_others else ""
    return EvaluationOf(
        key=name.key,
        number=number,
        file=first.file,
        published=PublishedEvaluation(id=name.evaluation, overall=overall, labels=labels),
        created_ms=created_ms,
        is_legacy=False,
        warnings=tuple(filter(None, (doubt, others))),
    )


def _make_label_part(found: Found[SliceResource]) -> PublishedPart | None:
    """The part of a label; None for a slice that the user cut otherwise."""
    content = found.content
    cut = content.slice or SliceOf()
    label = f"{cut.value:g}" if isinstance(cut.value, float) else cut.value
    if cut.dimension not in (None, "", _PER_LABEL) or not label or not content.any_metrics:
        return None
    return PublishedPart(
        file=found.file,
        id=found.name.slice_id,
        metrics=content.any_metrics,
        is_legacy=False,
        schema=content.metrics_schema_uri or "",
        label=label,
        created_ms=parse_timestamp(content.create_time),
    )


def _fill_placeholders(
    evaluations: Iterable[Found[EvaluationResource]], slices: Iterable[Found[SliceResource]]
) -> Iterator[Found[EvaluationResource]]:
    """Name an evaluation that was copied with MODEL_ID for its id after the slices beside it."""
    for evaluation in evaluations:
        folder = dirname(evaluation.file)
        beside = {replace(one.name, slice_id="") for one in slices if dirname(one.file) == folder}
        if evaluation.name.has_placeholder and len(beside) == 1:
            yield replace(evaluation, name=beside.pop())
        else:
            yield evaluation


def _describe_nameless(
    file: str, content: EvaluationResource, directory: Directory
) -> EvaluationOf:
    """Metrics that were saved without the resource around: a model described beside is theirs."""
    key, number = directory.find_only_version(file) or (None, "")
    is_legacy = bool(content.legacy_metrics)
    stem = splitext(basename(file))[0]
    part = PublishedPart(
        file=file,
        id=stem,
        metrics=content.any_metrics,
        is_legacy=is_legacy,
        schema=content.metrics_schema_uri or "",
        test_images=content.evaluated_example_count,
    )
    return EvaluationOf(
        key=key,
        number=number,
        file=file,
        published=PublishedEvaluation(id=stem, overall=part),
        created_ms=parse_timestamp(content.create_time),
        is_legacy=is_legacy,
    )
