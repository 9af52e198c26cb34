"""What the labels of answers are called in the truth, and whether they are the same labels."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import BoolArray, FloatArray
from mlrek.formats.json_text import join_some, quoted, quoted_some
from mlrek.formats.predictions import Answers, JoinOptions
from mlrek.formats.truth import GroundTruth
from mlrek.metrics.decisions import DEFAULT_THRESHOLD


def find_true_names(truth: GroundTruth, answers: Answers, options: JoinOptions) -> tuple[str, ...]:
    """The names of the answers' labels in the truth; two may have become one.

    Raises:
        EvaluationError: The label map has a label that the answers do not, an id is unknown, or
            truth and answers have no label in common.
    """
    ids = truth.label_ids if answers.by_id else truth.class_names if answers.by_class else {}
    known = {*answers.labels, *(ids.get(label, label) for label in answers.labels)}
    if unknown := [label for label in options.label_map if label not in known]:
        raise EvaluationError(
            f"--label-map: {quoted_some(unknown)} is no label of the predictions; they have "
            f"{quoted_some(answers.labels)}"
        )
    names = tuple(_rename(label, ids, options.label_map) for label in answers.labels)
    if answers.by_id and ids:
        _check_ids(truth, answers, names)
    _check_common(truth.labels, names)
    return names


def _rename(label: str, ids: Mapping[str, str], label_map: Mapping[str, str]) -> str:
    name = ids.get(label, label)
    return label_map.get(label, label_map.get(name, name))


def _check_ids(truth: GroundTruth, answers: Answers, names: Sequence[str]) -> None:
    unknown = [
        label
        for label, name in zip(answers.labels, names, strict=True)
        if label == name and name not in truth.labels
    ]
    if unknown:
        raise EvaluationError(
            f"{len(unknown)} of {len(names)} ids of labels in the predictions are none of the "
            f"truth's ({join_some([*truth.label_ids], ', ')}): {quoted_some(unknown)}; "
            "--label-map names them"
        )


def _check_common(true: Sequence[str], found: Sequence[str]) -> None:
    """Refuse labels of which not one is the truth's: each answer would be wrong.

    Raises:
        EvaluationError: There is none in common.
    """
    if not true or not found or not {*true}.isdisjoint(found):
        return
    said = f"predictions have the labels {quoted_some(found)}, the truth {quoted_some(true)}"
    numbers = [side for side in (found, true) if all(label.isdecimal() for label in side)]
    if len(numbers) == 1:
        sides = ("predictions", "the truth")
        one, other = sides if numbers[0] is found else sides[::-1]
        raise EvaluationError(
            f"labels are numbers in {one} and names in {other}: {said}; write names on both sides, "
            "or give --label-map a file that says which number is which name"
        )
    alike = {*map(fold_label, true)} & {*map(fold_label, found)}
    how = "; some differ only in case, blanks or underscores" if alike else ""
    raise EvaluationError(
        f"predictions and truth have not one label in common: {said}{how}; --label-map says which "
        "label of the predictions is which of the truth"
    )


def fold_label(label: str) -> str:
    """A label without what writers change easily: case, blanks, underscores, hyphens within.

    >>> fold_label("Red Rose") == fold_label("red_rose")
    True
    >>> fold_label("-1") == fold_label("1")
    False
    """
    return re.sub(r"[\s_]|(?<!^)-", "", label.casefold())


def warn_alike(true: Iterable[str], found: Iterable[str]) -> Iterator[str]:
    """That labels differ in how they are written alone: they count as different ones."""
    labels: dict[str, list[str]] = {}
    for label in dict.fromkeys(chain(true, found)):
        labels.setdefault(fold_label(label), []).append(label)
    alike = [" and ".join(map(quoted, names)) for names in labels.values() if len(names) > 1]
    if alike:
        yield (
            "labels that differ only in case, blanks or underscores count as different ones: "
            f"{join_some(alike)}; --label-map makes them one"
        )


def warn_foreign(true: Sequence[str], found: Sequence[str], used: BoolArray) -> Iterator[str]:
    """That some labels of the answers are none of the truth's, or the reverse.

    Args:
        true: The labels of the truth.
        found: Those of the answers.
        used: Which of the truth's are true of some image, (len(true),).
    """
    foreign = [label for label in dict.fromkeys(found) if label not in {*true}]
    if foreign:
        yield (
            f"{len(foreign)} of {len({*found})} labels of the predictions occur nowhere in the "
            f"truth: {quoted_some(foreign)}"
        )
    known = {*found}
    needed = [label for label, is_used in zip(true, used.tolist(), strict=True) if is_used]
    if missed := [label for label in needed if label not in known]:
        yield (
            f"{len(missed)} of {len(needed)} labels of the truth occur nowhere in the predictions, "
            f"and can only be missed: {quoted_some(missed)}"
        )


def choose_thresholds(
    answers: Answers, names: Sequence[str], labels: Sequence[str], options: JoinOptions
) -> tuple[FloatArray, list[str]]:
    """The threshold of each label, (n_labels,), and where it is from.

    Raises:
        EvaluationError: A threshold is given for a label that neither side has.
    """
    renamed = dict(zip(answers.labels, names, strict=True))
    given = {renamed.get(k, k): v for k, v in answers.thresholds.items()}
    asked = {k if k in labels else renamed.get(k, k): v for k, v in options.thresholds.items()}
    if unknown := [label for label in asked if label not in labels]:
        raise EvaluationError(
            f"thresholds: {quoted_some(unknown)} is no label of predictions or truth; they have "
            f"{quoted_some(labels)}"
        )
    thresholds = {**given, **asked}
    lacking = [label for label in labels if label not in thresholds]
    said = []
    if lacking and thresholds:
        said.append(
            f"{len(lacking)} of {len(labels)} labels have no threshold given, and are predicted "
            f"from {DEFAULT_THRESHOLD:g} on: {quoted_some(lacking)}"
        )
    elif lacking and answers.is_scored:
        said.append(
            f"no thresholds are given: each label is predicted from {DEFAULT_THRESHOLD:g} on"
        )
    chosen = [thresholds.get(label, DEFAULT_THRESHOLD) for label in labels]
    return np.array(chosen, dtype=np.float64), said
