"""COCO's instances: an object with images, annotations and categories -> truth."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from msgspec import Raw, Struct
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Boxes, FloatArray, IntArray, Outcome, Task
from mlrek.formats.coco.documents import (
    Id,
    check_distinct,
    decode_file,
    find_places,
    measure_boxes,
    name_id,
    seems_coco_answers,
    sort_boxes,
    stack_boxes,
)
from mlrek.formats.coco.masks import encode_masks, is_mask, measure_masks
from mlrek.formats.columns import list_box_labels
from mlrek.formats.files import Files
from mlrek.formats.json_text import quoted, say_first
from mlrek.formats.told import gather_keys
from mlrek.formats.truth import GroundTruth

_Flag: TypeAlias = bool | int | None
_BACKGROUND: Final = frozenset({"background", "__background__", "_background_"})
_TRUTH: Final = "a file of COCO instances"


class _Image(Struct, gc=False):
    id: Id
    file_name: str = ""
    coco_url: str = ""
    flickr_url: str = ""
    width: float | None = None
    height: float | None = None
    neg_category_ids: Raw = Raw()

    @property
    def place(self) -> str:
        return self.file_name or self.coco_url or self.flickr_url


class _Told(Struct, gc=False):
    images: list[dict[str, Any]]


class _Category(Struct, gc=False):
    id: Id
    name: str


class _Annotation(Struct, gc=False):
    image_id: Id
    category_id: Id | None = None
    id: Id | None = None
    bbox: list[float] | None = None
    area: float | None = None
    iscrowd: _Flag = 0
    ignore: _Flag = 0
    score: float | None = None
    segmentation: Raw = Raw()
    keypoints: Raw = Raw()
    caption: Raw = Raw()
    segments_info: Raw = Raw()


class _Instances(Struct):
    images: list[_Image] | None = None
    annotations: list[_Annotation] | None = None
    categories: list[_Category] | None = None


_INSTANCES_DECODER: Final = Decoder(_Instances)
_TOLD_DECODER: Final = Decoder(_Told)
_KNOWN: Final = frozenset(
    (
        *("id", "file_name", "width", "height", "license", "date_captured"),
        *("coco_url", "flickr_url", "neg_category_ids", "not_exhaustive_category_ids"),
    )
)
"""Keys of an image that say nothing by which slices could be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labels:
    """The labels of a file, and by the text of an id the code of its label."""

    names: tuple[str, ...]
    codes: Mapping[str, int]
    ids: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Masks:
    """Segmentations in file order, the size of the image of each, and how they stand by image."""

    uri: str
    segmentations: Sequence[Raw]
    sizes: FloatArray
    order: IntArray

    @property
    def are_there(self) -> bool:
        """Whether each annotation has one."""
        return bool(self.segmentations) and all(map(is_mask, self.segmentations))

    def encode_sorted(self) -> tuple[bytes, ...]:
        """The masks, sorted by image.

        Raises:
            ParseError: One is malformed.
        """
        try:
            masks = encode_masks(self.segmentations, self.sizes)
        except ValueError as exc:
            raise ParseError(self.uri, 0, str(exc)) from exc
        return tuple(masks[i] for i in self.order.tolist())


def read_coco_truth(files: Files) -> GroundTruth:
    """The images of an instances file with their true boxes, also those without one.

    Raises:
        ParseError: It is no such file, or it contradicts itself.
    """
    if seems_coco_answers(files):
        raise ParseError(
            files.uri,
            0,
            "is predictions (an array of COCO results), not truth: give the instances file, an "
            "object with images, annotations and categories",
        )
    file = decode_file(_INSTANCES_DECODER, files, _TRUTH)
    if file.images is None or file.annotations is None:
        lacks = "images" if file.images is None else "annotations"
        raise ParseError(files.uri, 0, f"is not {_TRUTH}: it has no {lacks}")
    if not file.images:
        raise ParseError(files.uri, 0, "holds no image")
    try:
        truth = _make_truth(files.uri, file.images, file.annotations, file.categories or [])
    except ValueError as exc:
        raise ParseError(files.uri, 0, str(exc)) from exc
    told = decode_file(_TOLD_DECODER, files, _TRUTH)
    columns, said = gather_keys(told.images, _KNOWN, truth.images)
    return replace(truth, columns=columns, warnings=(*truth.warnings, *said))


def _make_truth(
    uri: str,
    images: Sequence[_Image],
    annotations: Sequence[_Annotation],
    categories: Sequence[_Category],
) -> GroundTruth:
    image_ids = _name_images(images)
    _check_annotations(annotations)
    used = dict.fromkeys(name_id(row.category_id) for row in annotations)
    labels = _name_labels(categories, used)
    places = {key: place for place, key in enumerate(image_ids)}
    image_idx = find_places([row.image_id for row in annotations], places, "image")
    label_idx = find_places([row.category_id for row in annotations], labels.codes, "category")
    sizes = _read_sizes(images)
    masks = _Masks(
        uri=uri,
        segmentations=[row.segmentation for row in annotations],
        sizes=sizes[image_idx],
        order=np.argsort(image_idx, kind="stable"),
    )
    corners, areas, exact = measure_boxes(_read_boxes(annotations, masks), _read_areas(annotations))
    crowds = np.array([bool(row.iscrowd) for row in annotations], dtype=np.bool_)
    boxes = Boxes(
        offsets=np.array([0, len(annotations)]),
        label_idx=label_idx.astype(np.int32),
        boxes_xyxy=corners,
        confidence=np.full(len(annotations), np.nan),
        outcome=np.full(len(annotations), Outcome.UNKNOWN, dtype=np.uint8),
        is_crowd=crowds if crowds.any() else None,
        areas=areas,
        sizes=exact,
    )
    boxes = sort_boxes(boxes, image_idx, len(images))
    return GroundTruth(
        task=Task.DETECTION,
        labels=labels.names,
        images=tuple(image_ids.values()),
        truth=list_box_labels(boxes, len(labels.names)),
        boxes=boxes,
        image_sizes=sizes,
        find_masks=masks.encode_sorted if masks.are_there else None,
        image_ids=image_ids,
        label_ids=labels.ids,
        warnings=(*labels.warnings, *_warn_annotations(annotations), *_warn_lvis(images)),
    )


def _name_images(images: Sequence[_Image]) -> dict[str, str]:
    """The place of each image by the text of its id.

    Raises:
        ValueError: An id or a place is of two images, or an image has no place.
    """
    ids = [name_id(image.id) for image in images]
    check_distinct(ids, "images have the id")
    places = [image.place for image in images]
    if "" in places:
        raise ValueError(f"image {ids[places.index('')]} has neither file_name nor coco_url")
    check_distinct(places, "images have the file_name")
    return dict(zip(ids, places, strict=True))


def _name_labels(categories: Sequence[_Category], used: Iterable[str]) -> _Labels:
    """The labels in the order of the file; where it names none, the ids of its annotations.

    Raises:
        ValueError: An id or a name is of two categories, or a name is blank.
    """
    used = dict.fromkeys(used)
    if not categories:
        names = tuple(sorted(used, key=lambda key: (len(key), key)))
        said = "the file has no categories: labels are the numbers of its annotations"
        return _Labels(
            names=names,
            codes={name: code for code, name in enumerate(names)},
            ids={name: name for name in names},
            warnings=(said,) if names else (),
        )
    ids = {name_id(category.id): category.name for category in categories}
    check_distinct([name_id(category.id) for category in categories], "categories have the id")
    if blank := [key for key, name in ids.items() if not name.strip() or "\0" in name]:
        raise ValueError(f"category {blank[0]} has no name")
    check_distinct([*ids.values()], "categories have the name")
    kept = [key for key, name in ids.items() if key in used or not _is_background(key, name)]
    passed = [name for key, name in ids.items() if key not in kept]
    return _Labels(
        names=tuple(ids[key] for key in kept),
        codes={key: code for code, key in enumerate(kept)},
        ids=ids,
        warnings=tuple(
            f"category 0, {quoted(name)}, has no annotations and is taken for no label"
            for name in passed
        ),
    )


def _is_background(key: str, name: str) -> bool:
    return key == "0" and name.strip().casefold() in _BACKGROUND


def _check_annotations(annotations: Sequence[_Annotation]) -> None:
    """Refuse what is no annotation of an object.

    Raises:
        ValueError: There are captions, segments of a panoptic file, or scores.
    """
    lacking = next((row for row in annotations if row.category_id is None), None)
    if lacking is not None:
        what = "its annotations have no category_id"
        if bytes(lacking.caption):
            what = "its annotations are captions"
        elif bytes(lacking.segments_info):
            what = "its annotations are segments of a panoptic file"
        raise ValueError(f"has no true boxes: {what}; give the file of instances")
    n_scores = sum(row.score is not None for row in annotations)
    if n_scores and n_scores == len(annotations):
        raise ValueError(
            "is predictions, not truth: each annotation has a score; `jq .annotations FILE` "
            "makes results of it"
        )


def _read_sizes(images: Sequence[_Image]) -> FloatArray:
    """Width and height, (n_images, 2); NaN where not told."""
    sizes = np.array([(image.width, image.height) for image in images], dtype=np.float64)
    sizes[~(sizes > 0)] = np.nan
    return sizes


def _read_areas(annotations: Sequence[_Annotation]) -> FloatArray:
    """The area of each, (n,); NaN where not told.

    Raises:
        ValueError: One is negative.
    """
    areas = np.array([row.area for row in annotations], dtype=np.float64)
    if (wrong := areas < 0).any():
        raise ValueError(f"annotation {int(np.argmax(wrong)) + 1} has a negative area")
    return areas


def _read_boxes(rows: Sequence[_Annotation], masks: _Masks) -> FloatArray:
    """Left, top, width and height of each annotation, (n, 4); of its mask where it has no box.

    Raises:
        ValueError: One has neither, or a box that is none.
    """
    lacking = np.array([not row.bbox for row in rows], dtype=np.bool_)
    if not lacking.any():
        return stack_boxes([row.bbox or [] for row in rows], "annotation")
    if not masks.are_there:
        first = int(np.argmax(lacking))
        lacks = "only keypoints" if bytes(rows[first].keypoints) else "no bbox"
        raise ValueError(f"has no true boxes: annotation {first + 1} has {lacks}")
    around, _ = measure_masks(encode_masks(masks.segmentations, masks.sizes), masks.sizes)
    told = [row.bbox or corners for row, corners in zip(rows, around.tolist(), strict=True)]
    return stack_boxes(told, "annotation")


def _warn_annotations(annotations: Sequence[_Annotation]) -> Iterator[str]:
    n = len(annotations)
    ignored = [row.id for row in annotations if row.ignore and not row.iscrowd]
    if ignored:
        what = (
            "annotations have the flag `ignore` without `iscrowd`; they count like any other, as "
            "in COCO's own evaluation (pycocotools), which reads `iscrowd` alone"
        )
        yield say_first(len(ignored), n, what, ignored[0])
    if any(bytes(row.keypoints) for row in annotations):
        yield "the annotations have keypoints, which are not read: their boxes count"
    repeated = [key for key, count in Counter(_list_ids(annotations)).items() if count > 1]
    if repeated:
        what = "ids of annotations stand twice; each annotation counts"
        yield say_first(len(repeated), n, what, repeated[0])
    if "0" in _list_ids(annotations):
        yield (
            "an annotation has the id 0: pycocotools takes what finds it for a false alarm, here "
            "it is right"
        )


def _warn_lvis(images: Sequence[_Image]) -> Iterator[str]:
    if any(bytes(image.neg_category_ids) for image in images):
        yield (
            "images list labels that were looked for (LVIS): found boxes of others count as false "
            "alarms, as in COCO's own evaluation"
        )


def _list_ids(annotations: Sequence[_Annotation]) -> list[str]:
    return [name_id(row.id) for row in annotations if row.id is not None]
