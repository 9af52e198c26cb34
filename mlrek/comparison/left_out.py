"""What the numbers of both versions are without each unit: how surely they differ.

A unit is an image, or the object that several images show; of many units some are left out
together. Numbers that follow from label counts get a few imagined images more, right and wrong ones
of each label: what a test set happens to hold no mistake of is not without mistakes (Agresti &
Coull 1998, here for averages over labels).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.comparison import Evidence
from mlrek.comparison.interpolated import DealtDifference, compare_interpolated
from mlrek.comparison.measured import Measured
from mlrek.comparison.pairing import PairUnits, Setting
from mlrek.comparison.rows import HAMMING, CountSums, Key, Values, compute_label_scores
from mlrek.evaluation import BoolArray, FloatArray, IntArray, Task
from mlrek.metrics.areas import MIN_OF_KIND, explain_kind
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.doubts import Support, count_support
from mlrek.metrics.intervals import Scale
from mlrek.metrics.probabilities import CalibrationChange, Predicted, compare_calibration
from mlrek.metrics.shares import Effects, Mover, compare_effects

IMAGES: Final = 4.0
"""All imagined images together count so many."""

MAX_LABELS: Final = 32
"""They are of the rarest labels: each of many labels makes little of an average."""

_TP, _PREDICTED, _SUPPORT = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """What each adds to the counts of both versions, (n, 3, n_labels) each, as far as it counts.

    `share` (n,) is how much of an image each is.
    """

    columns: tuple[FloatArray, FloatArray]
    share: FloatArray


DEBIASED: Final[Key] = ("aggregate/ece_debiased", None)

MIN_GROUPS: Final = 10
"""Objects that an interval needs where several images show one."""

RANKED_MACRO: Final = frozenset({"aggregate/roc_auc_macro", "aggregate/average_precision_macro"})
"""Means over labels of areas."""

MIN_BOXES: Final = 10
"""True boxes of a label that an interval of their average precision needs."""

MIN_MISTAKES: Final = 0.1
"""Images with a label times how far its ranking is from perfect, that an interval needs."""

MIN_DEGREES: Final = 5
"""Degrees of freedom that the log loss needs, which a few sure mistakes may make alone."""

MAX_COUNTED: Final = 1000
MAX_SCORED: Final = 200
"""Units that are left out of numbers that are fast, and slow, to compute."""

_COLUMNS: Final = 64
_MAX_CELLS: Final = 2**22
_ROUNDING: Final = 1e-9
_RANKED: Final = frozenset({"label_ap", "label_roc_auc"})
_RANKED_CLASS: Final = frozenset({"aggregate/roc_auc", "aggregate/average_precision"})
_MANY_LABELS: Final = 4  # of which no single one makes the mean
_RAREST_KIND: Final = "rarest kind (with or without a label)"
_RARER_KIND: Final = "rarer kind (with or without the label)"
_FEW_MAKE_IT: Final = "no interval: a few images make this number what it is; more are needed"

_PLAIN_ERROR: Final = (
    "no interval: chance alone makes the plain calibration error positive; ece_debiased has one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvidence:
    """Evidence by number, and why some numbers have none."""

    evidence: Mapping[Key, Evidence]
    reasons: Mapping[Key, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Numbers of both versions: values (n_numbers,), and without each unit (n_numbers, n_units)."""

    keys: tuple[Key, ...]
    values: tuple[FloatArray, FloatArray]
    left_out: tuple[FloatArray, FloatArray]
    share: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Added:
    """Label counts with imagined images: of all, (1, n_labels), and without each unit."""

    whole: LabelCounts
    without: LabelCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class _CountedUnits:
    """What each unit adds to the counts of each label, (n_units, 3, n_labels), and their sum."""

    by_unit: FloatArray
    totals: FloatArray

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.by_unit)

    @classmethod
    def of(
        cls, sums: CountSums, unit_idx: IntArray, units: PairUnits, setting: Setting
    ) -> "_CountedUnits":
        """Add up the images of each unit; an image of unit -1 is left out."""
        kept = np.flatnonzero(unit_idx >= 0)
        ones = np.ones(len(kept), dtype=np.float64)
        shape = len(unit_idx), units.total
        members = sp.csr_array((ones, (kept, unit_idx[kept])), shape=shape)
        by_unit = np.asarray((sums.rows @ members).todense(), dtype=np.float64)
        by_unit = by_unit.T.reshape(units.total, 3, len(setting.labels))
        return cls(by_unit=by_unit, totals=by_unit.sum(axis=0))

    def add(self, columns: FloatArray) -> _Added:
        """The counts with imagined images, (n_imagined, 3, n_labels), which are left out, too."""
        whole = self.totals + columns.sum(axis=0)
        left = np.concatenate([self.by_unit, columns])
        return _Added(whole=_to_counts(whole[np.newaxis]), without=_to_counts(whole - left))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Support:
    """Images with each label, (n_labels,), as far as counts tell, and all units.

    `kinds` are the units with each label and without it; `pos_code` is that of the positive label,
    if there is one.
    """

    by_label: IntArray
    n_units: int
    kinds: Support
    pos_code: int | None

    @property
    def n_labels(self) -> int:
        """Labels that occur."""
        return int(np.count_nonzero(self.by_label))

    @property
    def rarest(self) -> int:
        """Images of the rarest label that occurs."""
        found = self.by_label[self.by_label > 0]
        return int(found.min()) if len(found) else self.n_units

    def count_units(self, key: Key) -> int:
        """Units that tell of a number which does not vary."""
        name, code = key
        if code is not None:
            return max(1, min(int(self.by_label[code]), self.n_units))
        is_ranked = name.endswith(("roc_auc_macro", "average_precision_macro"))
        return max(1, self.rarest if is_ranked else self.n_units)


def find_evidence(
    versions: tuple[Measured, Measured], setting: Setting, shown: Mapping[Key, float]
) -> FoundEvidence:
    """How surely each number differs between the versions.

    Args:
        versions: Baseline and candidate.
        setting: What the units are, and whether the images are paired.
        shown: The differences that are shown, candidate minus baseline; NaN have no evidence.
    """
    evidence: dict[Key, Mover | DealtDifference] = {}
    if setting.units.total < 2:  # noqa: PLR2004 - one unit cannot vary
        return FoundEvidence(evidence=evidence, reasons={})
    support = _count_support(versions, setting)
    batches = [*_leave_out_counts(versions, setting)]
    undefined: Mapping[Key, str] = {}
    if versions[0].measure.task is Task.DETECTION:
        dealt = compare_interpolated(versions, setting, shown, support.count_units)
        evidence |= dealt.evidence
        undefined = dealt.reasons
    else:
        batches.insert(0, _leave_out_scores(versions, setting))
    for batch in batches:
        evidence |= _compare(batch, shown, support, setting)
    short = _find_short(evidence, support, setting)
    kept: dict[Key, Evidence] = {key: found for key, found in evidence.items() if key not in short}
    if not setting.grouped or setting.units.total >= MIN_GROUPS:
        kept |= _compare_debiased(versions, setting, shown)
    return FoundEvidence(evidence=kept, reasons={**undefined, **short})


def _compare_debiased(
    versions: tuple[Measured, Measured], setting: Setting, shown: Mapping[Key, float]
) -> dict[Key, Evidence]:
    """The debiased calibration error, which is no function of image weights."""
    if isnan(shown.get(DEBIASED, nan)):
        return {}
    found = compare_debiased(versions, setting)
    return {} if found is None else {DEBIASED: found}


def say_few_groups(n_groups: int) -> str:
    """Why so few groups have no interval."""
    return f"no interval: {n_groups} groups of images, at least {MIN_GROUPS} are needed"


def _compare(
    batch: _Batch, shown: Mapping[Key, float], support: "_Support", setting: Setting
) -> dict[Key, Mover]:
    """The evidence of those numbers that are defined, also without each unit."""
    differences = np.array([shown.get(key, np.nan) for key in batch.keys], dtype=np.float64)
    defined = ~np.isnan(differences)
    for values, left_out in zip(batch.values, batch.left_out, strict=True):
        defined &= ~np.isnan(values) & ~np.isnan(left_out).any(axis=1)
    kept = np.flatnonzero(defined)
    keys = [batch.keys[i] for i in kept.tolist()]
    effects = tuple(
        Effects(
            values=values[kept],
            moved=values[kept, np.newaxis] - left_out[kept],
            share=batch.share,
        )
        for values, left_out in zip(batch.values, batch.left_out, strict=True)
    )
    n_units = int(np.count_nonzero(batch.share == 1))
    is_normal = bool((batch.share < 1).any()) and not setting.grouped
    found = compare_effects(
        differences[kept],
        (effects[0], effects[1]),
        [_find_scale(name) for name, _ in keys],
        n_shown=np.array([support.count_units(key) for key in keys], dtype=np.int64),
        max_degrees=None if is_normal else n_units - 1,
    )
    return dict(zip(keys, found, strict=True))


def _leave_out_counts(versions: tuple[Measured, Measured], setting: Setting) -> Iterator[_Batch]:
    """The numbers that follow from label counts."""
    first, second = versions
    sums = [
        {"labels": version.measure.labels, "at_threshold": version.measure.at_threshold}
        for version in versions
    ]
    for kind in ("labels", "at_threshold"):
        pair = sums[0][kind], sums[1][kind]
        if pair[0] is None or pair[1] is None:
            continue
        units = setting.units.deal(_most_units(len(setting.labels)))
        counted = [
            _CountedUnits.of(one, idx, units, setting)
            for one, idx in zip(pair, units.of_versions, strict=True)
            if one is not None
        ]
        task = first.measure.task
        if kind == "labels" and task is not Task.SEGMENTATION:
            yield _leave_out_labels((counted[0], counted[1]), setting)
        imagined = imagine_images(
            [one.totals for one in counted], setting.labels, paired=setting.paired
        )
        added = [one.add(columns) for one, columns in zip(counted, imagined.columns, strict=True)]
        among = (
            _either(added[0].whole, added[1].whole),
            _either(added[0].without, added[1].without),
        )
        found = []
        for version, one in zip((first, second), added, strict=True):
            values, left_out = (
                version.measure.average({kind: counts}, {kind: each} if setting.paired else {})
                for counts, each in zip((one.whole, one.without), among, strict=True)
            )
            found.append((values, left_out))
        yield _make_batch(found, _share_of(units.total, imagined))


def _leave_out_labels(counted: tuple["_CountedUnits", "_CountedUnits"], setting: Setting) -> _Batch:
    """Precision, recall and F1 of each label, which gets imagined images of its own."""
    imagined = imagine_labels(len(setting.labels))
    found = []
    for one, columns in zip(counted, imagined.columns, strict=True):
        added = one.add(columns)
        values, left_out = (compute_label_scores(counts) for counts in (added.whole, added.without))
        occurs = one.totals.sum(axis=0) > 0
        found.append(
            (
                {
                    (name, code): value if occurs[code] else np.full_like(value, np.nan)
                    for (name, code), value in values.items()
                },
                left_out,
            )
        )
    return _make_batch(found, _share_of(counted[0].n_units, imagined))


def _leave_out_scores(versions: tuple[Measured, Measured], setting: Setting) -> _Batch:
    """All other numbers, from image weights."""
    units = setting.units.deal(MAX_SCORED)
    found = [
        _score_without(version, idx, units, setting)
        for version, idx in zip(versions, units.of_versions, strict=True)
    ]
    return _make_batch(found, np.ones(units.total))


def _score_without(
    version: Measured, unit_idx: IntArray, units: PairUnits, setting: Setting
) -> tuple[Values, Values]:
    """The statistics of one version on all units, and without each."""
    blocks: list[Values] = []
    is_in = (unit_idx >= 0)[:, np.newaxis]
    for start in range(-1, units.total, _COLUMNS):  # -1 stands for no unit: nothing is left out
        left = np.arange(start, min(start + _COLUMNS, units.total))
        weights = (is_in & (unit_idx[:, np.newaxis] != left)).astype(np.float32)
        blocks.append(version.measure.compute_statistics(weights))
    joined = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
    if setting.paired and version.measure.task is Task.MULTILABEL and HAMMING in joined:
        joined[HAMMING] = joined[HAMMING] * version.measure.known_share
    return (
        {key: column[:1] for key, column in joined.items()},
        {key: column[1:] for key, column in joined.items()},
    )


def _count_support(versions: tuple[Measured, Measured], setting: Setting) -> _Support:
    """The smaller support of both versions, of each label."""
    found = []
    for version, idx in zip(versions, setting.units.of_versions, strict=True):
        weights = (idx >= 0).astype(np.float32)[:, np.newaxis]
        found.append(version.measure.labels.compute(weights).support[0])
    pos_label = versions[0].evaluation.pos_label
    return _Support(
        by_label=np.minimum(*found),
        n_units=setting.units.total,
        kinds=count_kinds(versions, setting),
        pos_code=setting.labels.index(pos_label) if pos_label else None,
    )


def count_kinds(versions: tuple[Measured, Measured], setting: Setting) -> Support:
    """The units with each label, and without it; of both versions the fewer."""
    found = []
    for version, idx in zip(versions, setting.units.of_versions, strict=True):
        truth = version.evaluation.truth
        cells = truth.image_idx, version.codes[truth.label_idx]
        unit = np.where(version.rows.counted, idx, -1)
        found.append(count_support(version.metrics.task, cells, unit, len(setting.labels)))
    return replace(
        found[0],
        having=np.minimum(*(one.having for one in found)),
        lacking=np.minimum(*(one.lacking for one in found)),
    )


def _find_short(
    evidence: Mapping[Key, Mover | DealtDifference], support: _Support, setting: Setting
) -> dict[Key, str]:
    """Why some of these numbers get no interval: there are too few images, or objects."""
    if setting.grouped and setting.units.total < MIN_GROUPS:
        return dict.fromkeys(evidence, say_few_groups(setting.units.total))
    short: dict[Key, str] = {("aggregate/ece", None): _PLAIN_ERROR}
    for key, found in evidence.items():
        if reason := _say_short(key, found, support, setting):
            short[key] = reason
    return short


def _say_short(
    key: Key, found: Mover | DealtDifference, support: _Support, setting: Setting
) -> str:
    """Why a number gets no interval on so few images; '' where it gets one."""
    name, code = key
    if name in _RANKED_CLASS:
        return _say_few(support.pos_code, support, setting)
    if name == "aggregate/log_loss":
        degrees = min(found.baseline.n_units, found.candidate.n_units) - 1
        return _FEW_MAKE_IT if degrees < MIN_DEGREES else ""
    is_macro = name in RANKED_MACRO and support.n_labels < _MANY_LABELS
    if not (is_macro or name in _RANKED):
        return ""
    if few := _say_few(code, support, setting):
        return few
    n, whose = support.rarest, "have the rarest label"
    if code is not None:
        n, whose = int(support.by_label[code]), "have the label"
    below = [one.value for one in (found.baseline, found.candidate) if one.value < 1]
    nearest = max(below, default=0.0)  # a perfect one has Wilson's interval
    if n * (1 - nearest) < MIN_MISTAKES:
        needed = round(MIN_MISTAKES / (1 - nearest))
        return f"no interval: {n} images {whose}, so near 1 about {needed:,} are needed"
    return ""


def _say_few(code: int | None, support: _Support, setting: Setting) -> str:
    """Why a ranking of so few units with the label, or without it, gets no interval.

    Of boxes there are none without a label.
    """
    kinds, what = support.kinds, "groups" if setting.grouped else "images"
    if code is None:
        n, kind = kinds.rarest, _RAREST_KIND
    elif kinds.task is Task.DETECTION:
        n = int(support.by_label[code])
        few = f"no interval: {n} images have the label, at least {MIN_BOXES} are needed"
        return few if n < MIN_BOXES else ""
    else:
        n, kind = int(kinds.least[code]), _RARER_KIND
    return "" if n >= MIN_OF_KIND else explain_kind(n, setting.units.total, what, kind)


def _make_batch(found: Sequence[tuple[Values, Values]], share: FloatArray) -> _Batch:
    """The numbers that both versions have, as rows."""
    (first, first_left), (second, second_left) = found
    keys = tuple(key for key in first if key in second)

    def stack(values: Values, width: int) -> FloatArray:
        rows = [np.broadcast_to(values[key], width) for key in keys]
        return np.array(rows, dtype=np.float64).reshape(len(keys), width)

    n = len(share)
    return _Batch(
        keys=keys,
        values=(stack(first, 1)[:, 0], stack(second, 1)[:, 0]),
        left_out=(stack(first_left, n), stack(second_left, n)),
        share=share,
    )


def _share_of(n_units: int, imagined: Imagined) -> FloatArray:
    """One for each unit, and what each imagined image counts."""
    return np.concatenate([np.ones(n_units), imagined.share])


def _to_counts(counts: FloatArray) -> LabelCounts:
    """Counts (..., 3, n_labels), which need not be whole; what is left of 0 by rounding is 0."""
    whole = np.where(np.abs(counts) < _ROUNDING, 0.0, counts)
    return LabelCounts(tp=whole[..., 0, :], predicted=whole[..., 1, :], support=whole[..., 2, :])


def _either(one: LabelCounts, other: LabelCounts) -> BoolArray:
    return np.asarray(one.occurs | other.occurs)


def _most_units(n_labels: int) -> int:
    """As many as fit, of numbers that are fast to compute."""
    return max(MAX_SCORED, min(MAX_COUNTED, _MAX_CELLS // (3 * max(n_labels, 1))))


def _find_scale(name: str) -> Scale:
    last = name.rpartition("/")[2]
    if last in ("mcc", "cohen_kappa"):
        return Scale.FISHER
    return Scale.LOG if last == "log_loss" else Scale.LOGIT


def imagine_images(
    totals: Sequence[FloatArray], labels: tuple[str, ...], *, paired: bool
) -> Imagined:
    """Images of the labels that occur, whose wrong answers are shared out among the others.

    Args:
        totals: The counts of both versions, (3, n_labels) each.
        labels: Their names, which make the choice independent of their order.
        paired: Whether both versions answer the same images; else each has images of its own.
    """
    occur = [_choose(one, labels) for one in totals]
    if paired:
        both = _choose(totals[0] + totals[1], labels)
        right, wrong = _answer(both, len(labels))
        share = np.full(4 * len(both), IMAGES / max(4 * len(both), 1))
        columns = (
            np.concatenate([right, wrong, right, wrong]),
            np.concatenate([right, right, wrong, wrong]),
        )
    else:
        parts = [np.concatenate(_answer(codes, len(labels))) for codes in occur]
        share = np.concatenate([np.full(len(p), IMAGES / max(len(p), 1)) for p in parts])
        columns = (
            np.concatenate([parts[0], np.zeros_like(parts[1])]),
            np.concatenate([np.zeros_like(parts[0]), parts[1]]),
        )
    scaled = share[:, np.newaxis, np.newaxis]
    return Imagined(columns=(columns[0] * scaled, columns[1] * scaled), share=share)


def imagine_labels(n_labels: int) -> Imagined:
    """For the numbers of each label alone: it is found or missed, and found or falsely predicted.

    Each pair of answers counts half an image, of every label at once: no number is of two labels.
    """
    hit, miss, false = np.zeros((3, 3, n_labels))
    hit[:] = 1.0
    miss[_SUPPORT] = 1.0
    false[_PREDICTED] = 1.0
    baseline = np.array([hit, miss, hit, miss, hit, false, hit, false])
    candidate = np.array([hit, hit, miss, miss, hit, hit, false, false])
    share = np.full(len(baseline), IMAGES / len(baseline))
    scaled = share[:, np.newaxis, np.newaxis]
    return Imagined(columns=(baseline * scaled, candidate * scaled), share=share)


def _choose(totals: FloatArray, labels: tuple[str, ...]) -> list[int]:
    """The labels that occur, the rarest first, at most `MAX_LABELS`."""
    occurs = totals[_PREDICTED] + totals[_SUPPORT] > 0
    found = np.flatnonzero(occurs).tolist()
    return sorted(found, key=lambda code: (totals[_SUPPORT, code], labels[code]))[:MAX_LABELS]


def _answer(codes: Sequence[int], n_labels: int) -> tuple[FloatArray, FloatArray]:
    """A right and a wrong answer to an image of each label, (n_codes, 3, n_labels) each."""
    right, wrong = np.zeros((2, len(codes), 3, n_labels))
    for row, code in enumerate(codes):
        right[row, :, code] = 1.0
        wrong[row, _SUPPORT, code] = 1.0
        others = [other for other in codes if other != code]
        wrong[row, _PREDICTED, others] = 1.0 / max(len(others), 1)
    return right, wrong


def compare_debiased(
    versions: tuple[Measured, Measured], setting: Setting
) -> CalibrationChange | None:
    """How surely it differs; None where a version has no prediction with a truth."""
    idx = setting.units.of_versions
    sides = [_select(version, units) for version, units in zip(versions, idx, strict=True)]
    found = [side for side in sides if side is not None]
    if len(found) < len(sides):
        return None
    return compare_calibration(found, setting.units.total, are_groups=setting.grouped)


def _select(version: Measured, unit_idx: IntArray) -> Predicted | None:
    rows = version.metrics.predictions
    if rows is None:
        return None
    kept = np.flatnonzero((rows.y_true >= 0) & (rows.y_pred >= 0))
    if not len(kept):
        return None
    return Predicted(
        confidence=rows.confidence[kept],
        is_right=np.asarray(rows.y_true[kept] == rows.y_pred[kept]),
        unit_idx=unit_idx[rows.image_idx[kept]],
    )
