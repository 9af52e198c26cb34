"""The evaluations of a version, one by one, as Google's own list shows them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import nan

from mlrek.formats.google_collection import GoogleVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEvaluation:
    """An evaluation by its id: of a version, or of one label (`label`; '' for all).

    `test_images` and `average_precision` are NaN where not published, and of the evaluations that
    do not count for the version.
    """

    id: str
    label: str = ""
    created_ms: int | None = None
    test_images: float = nan
    average_precision: float = nan


def list_evaluations(found: GoogleVersion) -> Iterator[ListedEvaluation]:
    """The evaluation that counts, those of its labels, and any other ones of the version."""
    for i, one in enumerate(found.evaluations):
        if i or found.numbers is None:
            yield ListedEvaluation(id=one.published.id, created_ms=one.created_ms)
            continue
        reported = found.numbers.reported
        images = (
            {} if reported.test_images is None else {"test_images": float(reported.test_images)}
        )
        yield _list(one.published.id, "", one.created_ms, {**reported.aggregate, **images})
        for part in one.published.labels:
            label = part.label or found.numbers.label_names.get(part.label_id, part.label_id)
            yield _list(part.id, label, part.created_ms, reported.per_label.get(label, {}))


def _list(
    evaluation_id: str, label: str, created_ms: int | None, scores: Mapping[str, float]
) -> ListedEvaluation:
    return ListedEvaluation(
        id=evaluation_id,
        label=label,
        created_ms=created_ms,
        test_images=scores.get("test_images", nan),
        average_precision=scores.get("average_precision", nan),
    )
