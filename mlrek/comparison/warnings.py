"""What a reader of a comparison must know before its numbers, and what weakens none of them."""

from collections.abc import Iterator, Sequence
from typing import Final

from mlrek.comparison import Verdict
from mlrek.comparison.pairing import Pairing, group_images

MAX_NAMED: Final = 5


def warn(
    pairing: Pairing,
    *,
    is_mixed: bool,
    group_by: str,
) -> Iterator[str]:
    """One sentence on each thing that makes a comparison less than it seems.

    Args:
        pairing: The shared images.
        is_mixed: Whether one of them gave an image one label, the other several.
        group_by: How images were grouped, '' for not at all.
    """
    yield from _warn_test_sets(pairing)
    yield from _warn_labels(pairing)
    if is_mixed:
        yield (
            "one version gives an image one label, the other several: both are compared as "
            "several, by the assumed thresholds"
        )
    if group_by and (n := group_images(pairing.images, group_by)[1]):
        yield f"--group-by finds no object in the URIs of {n} shared images: each is its own"


def name_some(names: Sequence[str]) -> str:
    """The first few of untrusted names, escaped as Python would."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(map(repr, names[:MAX_NAMED])) + more


def _warn_test_sets(pairing: Pairing) -> Iterator[str]:
    sets = pairing.test_sets
    if sets.verdict is not Verdict.SAME:
        yield (
            "the test sets differ: numbers of the whole test sets compare only in part; evaluate "
            "both versions on one test set of your own with `mlrek evaluate VERSION --on MANIFEST`"
        )


def _warn_labels(pairing: Pairing) -> Iterator[str]:
    sets = pairing.test_sets
    for names, which in (
        (sets.labels_only_baseline, "baseline"),
        (sets.labels_only_candidate, "candidate"),
    ):
        if names:
            yield f"labels that only the {which} knows: {name_some(names)}"
