"""What a reader of a comparison must know before its numbers."""

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Final

import numpy as np

from mlrek.comparison import Leakage, Verdict
from mlrek.comparison.pairing import Pairing, group_images
from mlrek.evaluation import Evaluation
from mlrek.metrics import PredictionRule

MAX_NAMED: Final = 5


def find_leakage(evaluation: Evaluation) -> Leakage:
    """The test images that the version was trained on."""
    seen = evaluation.seen_in_training
    if seen is None:
        return Leakage(known=False)
    images = dict.fromkeys(evaluation.images[i] for i in np.flatnonzero(seen).tolist())
    return Leakage(known=True, images=tuple(images))


def warn(
    pairing: Pairing,
    evaluations: tuple[Evaluation, Evaluation],
    *,
    rules: tuple[PredictionRule, PredictionRule],
    is_mixed: bool,
    group_by: str,
) -> Iterator[str]:
    """One sentence on each thing that makes a comparison less than it seems.

    Args:
        pairing: The shared images.
        evaluations: Baseline and candidate as they are compared.
        rules: What counts as their prediction.
        is_mixed: Whether one of them gave an image one label, the other several.
        group_by: How images were grouped, '' for not at all.
    """
    yield from _warn_test_sets(pairing)
    yield from _warn_labels(pairing)
    if rules[0] != rules[1]:
        yield f"the versions are judged by different rules: {rules[0].value} and {rules[1].value}"
    if is_mixed:
        yield (
            "one version gives an image one label, the other several: both are compared as "
            "several, by the assumed thresholds"
        )
    yield from _warn_leakage(evaluations)
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
    if sets.duplicated:
        yield (
            f"{sets.duplicated} images stand more than once in a test set: among the shared images "
            "each counts once"
        )
    if sets.relabelled:
        named = name_some(list(compress(pairing.images, pairing.relabelled)))
        yield f"the truth of {sets.relabelled} shared images was changed between versions: {named}"


def _warn_labels(pairing: Pairing) -> Iterator[str]:
    sets = pairing.test_sets
    for names, which in (
        (sets.labels_only_baseline, "baseline"),
        (sets.labels_only_candidate, "candidate"),
    ):
        if names:
            yield f"labels that only the {which} knows: {name_some(names)}"


def _warn_leakage(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    for evaluation in evaluations:
        images = find_leakage(evaluation).images
        if images:
            yield (
                f"{evaluation.version.name} was trained on {len(images)} of its test images: "
                f"{name_some(images)}"
            )
