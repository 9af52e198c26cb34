"""Checks in slices: of each slice that a rule names the same check, on the images of that slice.

A slice that is not there, that has too few images, or in which the versions cannot be compared is
undecided with its reason. The doubts of the whole test set hold in its slices as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from mlrek.evaluation import Doubt, DoubtKind, Effect, Task
from mlrek.policy import (
    Better,
    Candidate,
    Check,
    Floor,
    NoWorse,
    Opponent,
    Portion,
    Portions,
    Status,
)
from mlrek.policy.floors import CheckAnswer, Ground, check_floor, refuse_floor
from mlrek.policy.reading import list_floor_doubts, list_relative_doubts
from mlrek.policy.relative import Footing, check_relative, refuse_relative, say_incomparable
from mlrek.text import list_some

NO_SLICES: Final = "nothing tells which test images are in a slice"
PROVEN_IMAGES: Final = 100
"""Of boxes and masks fewer images make intervals that miss too often."""
PROVEN_PER_LABEL: Final = 3
_OF_AREAS: Final = frozenset({Task.DETECTION, Task.SEGMENTATION})
_OF_IMAGES: Final = frozenset(
    {
        DoubtKind.GROUPED,
        DoubtKind.CONFIDENCE_CONSTANT,
        DoubtKind.RECORDS_PARTIAL,
        DoubtKind.INTERVAL_SHORT,
    }
)
"""Kinds that the images of a slice may show by themselves; others are of whole test sets."""


def check_floor_in_slices(
    floor: Floor, whole: Ground, footing: Footing, found: Portions | None
) -> Iterator[Check]:
    """One check for each slice, label and limit.

    Args:
        floor: What is asked.
        whole: All images of the candidate.
        footing: What relative checks on all images stand on.
        found: The slices that the floor names.
    """
    found = found or Portions(missing=NO_SLICES)
    if not found.portions:
        yield from refuse_floor(floor, floor.slice, found.missing)
    grounds = []
    for portion in found.portions:
        if portion.candidate is None:
            yield from refuse_floor(floor, portion.name, _join(portion.missing, portion.note))
            continue
        own = list_floor_doubts(portion.candidate, portion.opponent or Opponent())
        grounds.append(_make_ground(portion, portion.candidate, whole, whole.doubts, own))
    yield from check_floor(floor, grounds, footing.asked)


def check_relative_in_slices(
    asked: NoWorse | Better, footing: Footing, found: Portions | None
) -> Iterator[Check]:
    """One check for each slice and label, also for those that the baseline alone was tested on."""
    if reason := footing.opponent.absent:
        yield refuse_relative(asked, asked.slice, CheckAnswer(Status.IGNORED, reason))
        return
    if footing.incomparable:
        check = _refuse(asked, asked.slice, f"not comparable: {footing.incomparable}")
        yield replace(check, is_comparable=False)
        return
    found = found or Portions(missing=NO_SLICES)
    if not found.portions:
        yield _refuse(asked, asked.slice, found.missing)
    footings = []
    for portion in found.portions:
        opponent, candidate = portion.opponent, portion.candidate
        if candidate is None:
            yield _refuse(asked, portion.name, _join(portion.missing, portion.note))
            continue
        if opponent is None or portion.incomparable:
            reason = portion.incomparable or "the versions were not compared in it"
            check = _refuse(asked, portion.name, _join(reason, portion.note))
            yield replace(check, is_comparable=False)
            continue
        own = list_relative_doubts(candidate, opponent)
        whole = footing.ground
        ground = _make_ground(portion, candidate, whole, whole.doubts, own)
        incomparable = say_incomparable(footing.asked.same, opponent)
        footings.append(
            replace(footing, ground=ground, opponent=opponent, incomparable=incomparable, remark="")
        )
    yield from check_relative(asked, footings)
    for portion in found.gone:
        yield _refuse(asked, portion.name, portion.missing)


def say_gone(found: Iterable[Portions]) -> Iterator[str]:
    """The slices that the baseline was tested on and the candidate was not, '' for none."""
    gone = {portion.name: portion for portions in found for portion in portions.gone}
    if gone:
        named = list_some(f"{one.name} ({one.n_images:,} images)" for one in gone.values())
        yield f"the baseline was tested on slices that the candidate was not tested on: {named}"


def _make_ground(
    portion: Portion,
    candidate: Candidate,
    whole: Ground,
    doubts: Sequence[Doubt],
    own: Sequence[Doubt],
) -> Ground:
    total = whole.candidate.test_images.total
    of_slice = candidate.test_images.total
    return Ground(
        candidate=candidate,
        doubts=(*_add_doubts(portion.name, doubts, own), *_doubt_size(portion, candidate)),
        slice=portion.name,
        share=of_slice / total if total and of_slice else 0.0,
        note=portion.note,
        gone=whole.gone,
    )


def _add_doubts(name: str, whole: Sequence[Doubt], own: Sequence[Doubt]) -> tuple[Doubt, ...]:
    """The doubts of all images, then what the images of the slice show besides.

    Whether an interval holds depends on how many images there are, so that is asked anew.
    """
    kept = [doubt for doubt in whole if doubt.kind is not DoubtKind.INTERVAL_SHORT]
    known = {_fact(doubt) for doubt in kept}
    further = [doubt for doubt in own if doubt.kind in _OF_IMAGES and _fact(doubt) not in known]
    return (*kept, *(replace(doubt, text=f"in {name}: {doubt.text}") for doubt in further))


def _doubt_size(portion: Portion, candidate: Candidate) -> Iterator[Doubt]:
    """That intervals over so few images are known to miss.

    Of 200 simulated test sets of 30 images 8 to 10 % of the intervals of ap, ar_100 and dice lay
    above the true number, of 60 images 9 % of ap; of 100 images they hold. So did 7 % of those of
    precision_weighted, of 60 images with 50 labels.
    """
    n, n_labels = portion.n_images, len(candidate.numbers.labels)
    if candidate.numbers.task in _OF_AREAS and n < PROVEN_IMAGES:
        yield Doubt(
            kind=DoubtKind.INTERVAL_SHORT,
            text=(
                f"in {portion.name}: intervals over {n:,} images with boxes or masks miss more "
                f"often than they say: {PROVEN_IMAGES} are needed"
            ),
        )
    elif n < PROVEN_PER_LABEL * n_labels:
        yield Doubt(
            kind=DoubtKind.INTERVAL_SHORT,
            text=(
                f"in {portion.name}: the interval of precision_weighted misses more often than it "
                f"says over {n:,} images of {n_labels:,} labels"
            ),
            touches=("interval/precision_weighted",),
        )


def _fact(doubt: Doubt) -> tuple[DoubtKind, tuple[str, ...], str | None, Effect | None]:
    return doubt.kind, doubt.touches, doubt.side, doubt.own_effect


def _refuse(asked: NoWorse | Better, name: str, reason: str) -> Check:
    answer = CheckAnswer(Status.UNDECIDED, reason, is_doubted=True)
    return refuse_relative(asked, name, answer)


def _join(*parts: str) -> str:
    return "; ".join(filter(None, parts))
