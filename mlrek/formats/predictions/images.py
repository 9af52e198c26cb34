"""Which answer is of which image of the truth, whatever the two files call it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final, TypeAlias
from unicodedata import normalize
from urllib.parse import unquote, unquote_plus

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import BoolArray, Doubt, DoubtKind, IntArray, Names, Task, are_rising
from mlrek.formats.doubts import doubt_unanswered, show_spellings
from mlrek.formats.json_text import quoted, quoted_some, say_first
from mlrek.formats.predictions import Answers, JoinOptions, Match, Unmatched
from mlrek.formats.truth import GroundTruth
from mlrek.text import strip_signature

_ENDING: Final = re.compile(r"(?<=[^./\\])\.\w{1,5}\Z")

_BUCKET: Final = re.compile(r"\A(?:s3|gs)://[^/]+/")

_STRANGE: Final = "predictions are of images that the truth does not hold"
_EMPTY: Final = "images have no box in the predictions: nothing was found on them"

_Found: TypeAlias = list[str | None]
"""The image of the truth that each answer is of; '' for one that nobody has labelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedImages:
    """The answer of each image of the truth, (n_images,): its position, -1 for none.

    `is_kept` (n_images,) tells which images are evaluated at all.
    """

    answer: IntArray
    is_kept: BoolArray
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()


def match_images(
    truth: GroundTruth, answers: Answers, options: JoinOptions, task: Task
) -> MatchedImages:
    """The answer of each image.

    Of boxes, an image that the answers do not name is one on which nothing was found, as long as
    they name at least half of the images and nobody said what such images mean.

    Raises:
        EvaluationError: No image has an answer, a name is of several images, an image has two
            different answers, or images of only one side are left and nobody said what they mean.
    """
    if _are_same(truth, answers, options):
        places: IntArray = np.arange(len(truth.images))
        missed = [*map(quoted, _list_blank(truth.images, answers, places, task))]
        return MatchedImages(
            answer=places,
            is_kept=np.ones(len(places), dtype=np.bool_),
            doubts=(*doubt_unanswered(missed, len(places)),),
        )
    names = strip_signatures(truth.images)
    asked = strip_signatures((*answers.images, *answers.errors))
    _check_some(names, asked)
    distinct = [*dict.fromkeys(names)]
    found, said = _find_images(truth, distinct, answers, options, asked)
    place = _place_answers(answers, found[: len(answers.images)])
    reasons = dict(zip(found[len(answers.images) :], answers.errors.values(), strict=True))
    answer = np.fromiter(map(place.get, names, repeat(-1)), dtype=np.int64, count=len(names))
    is_missing = answer < 0
    if reasons:
        is_missing &= [name not in reasons for name in names]
    if is_missing.all():
        raise EvaluationError(_say_none(asked, truth, answers))
    missing = [*dict.fromkeys(names[i] for i in np.flatnonzero(is_missing))]
    strangers = [name for name, image in zip(asked, found, strict=True) if image is None]
    n_names, drops = len(distinct), options.unmatched is Unmatched.DROP
    is_open = options.unmatched is Unmatched.ERROR
    are_empty = task is Task.DETECTION and is_open and 2 * len(missing) <= n_names
    empty, lacking = (missing, []) if are_empty else ([], missing)
    if is_open:
        _refuse_unmatched(n_names, asked, lacking, strangers)
    failed = {name: why for name, why in reasons.items() if name and name not in place}
    blank = dict.fromkeys(_list_blank(names, answers, answer, task), "")
    unanswered = failed | blank | ({} if drops else dict.fromkeys(lacking, ""))
    return MatchedImages(
        answer=answer,
        is_kept=~is_missing if drops else np.ones(len(names), dtype=np.bool_),
        doubts=(
            *_doubt_dropped(lacking if drops else [], n_names),
            *doubt_unanswered([*map(_say_why, unanswered.items())], n_names),
        ),
        warnings=(
            *said,
            *_warn_some(strangers, len(asked), f"{_STRANGE}, and are left out"),
            *_warn_some(empty, n_names, _EMPTY),
        ),
    )


def _list_blank(
    names: Sequence[str], answers: Answers, answer: IntArray, task: Task
) -> Iterator[str]:
    """Yield the images whose answer is blank; of one label an image, nothing is no answer."""
    is_answered = answers.is_answered
    if is_answered is None:
        return
    if task is Task.CLASSIFICATION:
        is_answered = np.diff(answers.offsets) > 0
    for i in np.flatnonzero((answer >= 0) & ~is_answered[answer]).tolist():
        yield names[i]


def _are_same(truth: GroundTruth, answers: Answers, options: JoinOptions) -> bool:
    """Whether both sides have the same images in the same order, each once, by whole names."""
    by_part = answers.by_id or truth.lacks_ending or answers.lacks_ending or answers.errors
    if by_part or options.match is not Match.URI or not truth.images:
        return False
    images = truth.images
    return images == answers.images and not _may_be_signed(images) and _are_distinct(images)


def _may_be_signed(images: Sequence[str]) -> bool:
    if isinstance(images, Names) and not images.may_hold("http"):
        return False
    return any(map(str.startswith, images, repeat(("http://", "https://"))))


def _are_distinct(images: Sequence[str]) -> bool:
    """Whether no image comes up twice; names that rise, as in most files, need no set of them."""
    return are_rising(images) or len(set(images)) == len(images)


def strip_signatures(images: Sequence[str]) -> list[str]:
    """The names of images without what signs the addresses among them."""
    return [*map(strip_signature, images)] if _may_be_signed(images) else [*images]


def _check_some(names: Sequence[str], asked: Sequence[str]) -> None:
    """Refuse sides without any image.

    Raises:
        EvaluationError: One has none.
    """
    if not asked:
        raise EvaluationError("the predictions are of no image at all: give the model's answers")
    if not names:
        raise EvaluationError("the truth is of no labelled image: give the test set")


def _say_why(item: tuple[str, str]) -> str:
    image, reason = item
    return f"{quoted(image)}: {reason}" if reason else quoted(image)


def _warn_some(names: Sequence[str], of: int, what: str) -> Iterator[str]:
    if names:
        yield say_first(len(names), of, what, names[0])


def _doubt_dropped(missing: Sequence[str], n_names: int) -> Iterator[Doubt]:
    if missing:
        yield Doubt(
            kind=DoubtKind.IMAGES_MISSING,
            text=f"{len(missing)} of {n_names} images of the truth have no prediction and are left "
            f"out (--unmatched drop): {quoted_some(missing)}",
            count=len(missing),
            of=n_names,
        )


def _find_images(
    truth: GroundTruth,
    names: Sequence[str],
    answers: Answers,
    options: JoinOptions,
    asked: Sequence[str],
) -> tuple[_Found, list[str]]:
    """The image of each answer, and what is to be said of how it was found."""
    hidden = [*map(strip_signature, truth.unlabelled)]
    if answers.by_id:
        return _find_by_id(truth, names, hidden, asked)
    if truth.lacks_ending or answers.lacks_ending:
        said = "images are joined by file name without its ending, since one side has none"
        key, asked_key = (
            _find_name if side.lacks_ending else _find_stem for side in (truth, answers)
        )
        return _find_by(key, asked_key, names, hidden, asked), [said]
    if options.match is Match.NAME:
        return _find_by_name(names, hidden, asked)
    known = dict.fromkeys(hidden, "") | dict(zip(names, names, strict=True))
    return [*map(known.get, asked)], []


def _find_by_id(
    truth: GroundTruth, names: Sequence[str], hidden: Sequence[str], asked: Sequence[str]
) -> tuple[_Found, list[str]]:
    """By the ids of the truth, else by file name or its stem, as some tools write for an id."""
    by_id = {key: strip_signature(image) for key, image in truth.image_ids.items()}
    known = set(names)
    found: _Found = [
        (image if image in known else "") if (image := by_id.get(name)) else None for name in asked
    ]
    rest = [i for i, image in enumerate(found) if image is None]
    n_named = 0
    for key in (_find_name, _find_stem):
        index = _list_unique(key, (*hidden, *names))
        for i in rest:
            if found[i] is None and (image := index.get(key(asked[i]))):
                found[i] = image if image in known else ""
                n_named += 1
    if not n_named:
        return found, []
    first = next(asked[i] for i in rest if found[i] is not None)
    what = "ids of images in the predictions are none of the truth's, and are read as file names"
    return found, [say_first(n_named, len(asked), what, first)]


def _find_by_name(
    names: Sequence[str], hidden: Sequence[str], asked: Sequence[str]
) -> tuple[_Found, list[str]]:
    """By the name of the file; what is left by names that differ only in how they are written."""
    found = _find_by(_find_name, _find_name, names, hidden, asked)
    taken = {image for image in found if image}
    left = [i for i, image in enumerate(found) if image is None]
    loose = _list_unique(_fold_name, [name for name in names if name not in taken])
    wanted = _list_unique(_fold_name, [asked[i] for i in left])
    alike = [
        (asked[i], i, loose[key])
        for i in left
        if (key := _fold_name(asked[i])) in loose and key in wanted
    ]
    for _, i, image in alike:
        found[i] = image
    said = ["images are joined by file name (--match name)"]
    if alike:
        name, _, image = alike[0]
        said.append(
            f"{len(alike)} of {len(asked)} file names are written differently on both sides "
            f"({say_difference(name, image)}) and taken for the same: "
            f"{quoted(_find_name(name))} and {quoted(_find_name(image))}"
        )
    return found, said


def find_named(
    names: Sequence[str], asked: Sequence[str], whose: str
) -> tuple[Sequence[str | None], list[str]]:
    """The name that each of the others is of by its file name, None for none; and what to say.

    Raises:
        EvaluationError: Two of one side share a file name.
    """
    try:
        return _find_by_name(names, (), asked)
    except EvaluationError as exc:
        raise EvaluationError(f"{whose}: {exc}") from exc


def _find_by(
    key: Callable[[str], str],
    asked_key: Callable[[str], str],
    names: Sequence[str],
    hidden: Sequence[str],
    asked: Sequence[str],
) -> _Found:
    """By a part of the name: `key` of the truth's, `asked_key` of the answers'.

    Raises:
        EvaluationError: Two images of one side share it.
    """
    _check_unique(key, [*names, *hidden], "truth")
    _check_unique(asked_key, asked, "predictions")
    known = {key(name): "" for name in hidden} | {key(name): name for name in names}
    return [known.get(asked_key(name)) for name in asked]


def _check_unique(key: Callable[[str], str], names: Iterable[str], side: str) -> None:
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(key(name), name)) != name:
            raise EvaluationError(
                f"images cannot be joined by file name: {quoted(key(name))} is the name of "
                f"several in the {side}, as of {quoted(other)} and {quoted(name)}; write both "
                "sides with folders and join by URI (--match uri)"
            )


def _list_unique(key: Callable[[str], str], names: Iterable[str]) -> dict[str, str]:
    """The name of each key that only one name has."""
    index: dict[str, set[str]] = {}
    for name in names:
        index.setdefault(key(name), set()).add(name)
    return {k: next(iter(found)) for k, found in index.items() if len(found) == 1}


def _find_name(image: str) -> str:
    """The name of the file: what stands behind the last slash, without the query of an address."""
    if image.startswith(("http://", "https://")):
        image = image.partition("?")[0].partition("#")[0]
    return image.replace("\\", "/").rpartition("/")[2]


def _find_stem(image: str) -> str:
    return _ENDING.sub("", _find_name(image))


def _fold_name(image: str) -> str:
    """A file name without case, outer blanks, percent-encoding, and how accents are composed."""
    return normalize("NFC", unquote_plus(_find_name(image))).casefold().strip()


def _fold_stem(image: str) -> str:
    return _ENDING.sub("", _fold_name(image))


def _place_answers(answers: Answers, found: _Found) -> dict[str, int]:
    """The answer of each image.

    Raises:
        EvaluationError: An image has two, and they differ.
    """
    place = {image: i for i, image in enumerate(found) if image}
    if len(place) == len(found):
        return place
    place.clear()
    for i, image in enumerate(found):
        other = place.setdefault(image, i) if image else i
        if other != i and _list_rows(answers, i) != _list_rows(answers, other):
            raise EvaluationError(
                f"the predictions answer {quoted(image)} twice, in different ways: keep one of them"
            )
    return place


def _list_rows(answers: Answers, i: int) -> list[tuple[float, ...]]:
    """What an answer says, in an order of its own."""
    if answers.boxes is not None:
        boxes = answers.boxes
        rows = slice(boxes.offsets[i], boxes.offsets[i + 1])
        columns = (boxes.label_idx[rows], boxes.confidence[rows], *boxes.boxes_xyxy[rows].T)
    else:
        rows = slice(answers.offsets[i], answers.offsets[i + 1])
        columns = (answers.label_idx[rows], answers.confidence[rows])
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def _refuse_unmatched(
    n_names: int, asked: Sequence[str], missing: Sequence[str], strangers: Sequence[str]
) -> None:
    """Images of only one side mean nothing until somebody says what.

    Raises:
        EvaluationError: There are some.
    """
    said = [
        *_warn_some(missing, n_names, "images of the truth have no prediction"),
        *_warn_some(strangers, len(asked), _STRANGE),
    ]
    if said:
        spelt = f" ({say_spelling(strangers, missing)})" if strangers and missing else ""
        raise EvaluationError(
            f"{'; '.join(said)}{spelt}; say what they mean: --unmatched drop leaves them out, "
            "--unmatched miss counts images without a prediction as misses"
        )


def _say_none(asked: Sequence[str], truth: GroundTruth, answers: Answers) -> str:
    if answers.by_id:
        hint = "" if truth.image_ids else " (it has no ids of images; a COCO file of boxes has)"
        return (
            "not one prediction is of an image of the truth: predictions have the image ids "
            f"{quoted_some(asked)}, which the truth does not know{hint}; give the predictions of "
            "this test set"
        )
    return (
        "not one prediction is of an image of the truth: predictions and truth write "
        f"{say_spelling(asked, truth.images)}"
    )


def say_spelling(asked: Sequence[str], names: Sequence[str]) -> str:
    """How both sides write an image, how that differs, and what mends it."""
    if pair := _find_alike(_fold_name, asked, names):
        what = f"which differ in {say_difference(*pair)}; --match name joins by file name"
    elif pair := _find_alike(_fold_stem, asked, names):
        what = "which differ in their ending: write file names in the predictions as in the truth"
    else:
        return f"{show_spellings(asked, names)}; give the predictions of this test set"
    return f"{quoted(pair[0])} and {quoted(pair[1])}, {what}"


def _find_alike(
    key: Callable[[str], str], asked: Sequence[str], names: Sequence[str]
) -> tuple[str, str] | None:
    """The first image that both sides have, going by a part of its name, as each writes it."""
    by_key = {key(name): name for name in reversed(asked)}
    return next(((by_key[key(name)], name) for name in names if key(name) in by_key), None)


def say_difference(one: str, other: str) -> str:
    """In what two spellings of an image differ, in words.

    >>> say_difference("a%20b.jpg", "a b.jpg"), say_difference("x/1.jpg", "y/1.jpg")
    ('percent-encoding', 'their folder')
    """
    for what, plain in _PLAIN.items():
        if plain(one) == plain(other):
            return what
    names = _find_name(one), _find_name(other)
    if names[0] == names[1]:
        return "their folder"
    return f"their folder and {say_difference(*names)}" if names != (one, other) else "spelling"


_PLAIN: Final[Mapping[str, Callable[[str], str]]] = {
    "blanks at the ends": str.strip,
    "how accents are composed (NFC, NFD)": lambda name: normalize("NFC", name),
    "case": str.casefold,
    "slashes and backslashes": lambda name: name.replace("\\", "/"),
    "their bucket": lambda name: _BUCKET.sub("", name),
    "./ or / at the beginning": lambda name: name.removeprefix("./").lstrip("/"),
    "percent-encoding": unquote,
    "percent-encoding (+ for a blank)": unquote_plus,
}
