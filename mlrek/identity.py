"""What tells test images and test sets apart: names without secrets, digests with the truth."""

from dataclasses import replace
from hashlib import sha256

import numpy as np

from mlrek.distinct import count_once
from mlrek.evaluation import Evaluation
from mlrek.printable import escape_unencodable
from mlrek.redaction import hide_secrets, strip_signature

DIGEST_LENGTH = 32
"""Hexadecimal digits of the digest that runs bear as a tag."""


def hide_signatures(evaluation: Evaluation) -> Evaluation:
    """The evaluation without what signs the web addresses of its images, and a warning of them."""
    images = tuple(map(strip_signature, evaluation.images))
    n = sum(a != b for a, b in zip(images, evaluation.images, strict=True))
    said = map(hide_secrets, evaluation.warnings)
    doubts = tuple(
        replace(doubt, text=escape_unencodable(hide_secrets(doubt.text)))
        for doubt in evaluation.doubts
    )
    evaluation = replace(evaluation, doubts=doubts)
    if n:
        warning = (
            f"{n} of {len(images)} image addresses hold a login or a signature; it is left out, "
            "and the address without it is the image's name"
        )
        return replace(evaluation, images=images, warnings=(*said, warning))
    return replace(evaluation, warnings=tuple(said))


def test_set_digest(evaluation: Evaluation) -> str:
    """Identity of the test set: equal exactly when images and truth are equal; '' without images.

    Order of images, of labels and of the provider's list does not matter, nor how many lines an
    image stands in. Of masks the true pixels of each label count, not where they lie.

    Returns:
        The first 32 hexadecimal digits of a SHA-256.
    """
    return digest_test_set(evaluation)[:DIGEST_LENGTH]


def digest_test_set(evaluation: Evaluation) -> str:
    """The whole SHA-256 that `test_set_digest` begins, in hexadecimal digits; '' without images."""
    if not evaluation.has_images:
        return ""
    return sha256(b"".join(sorted(digest_images(count_once(evaluation))))).hexdigest()


def digest_images(evaluation: Evaluation) -> list[bytes]:
    """Identity of each image with its truth, as `test_set_digest` takes them together."""
    names = [label.encode("utf-8", "surrogatepass") for label in evaluation.labels]
    alphabetical = np.argsort(np.argsort(np.array(names, dtype=object)))
    framed = [_frame(name) for name in names]
    has_boxes, areas = evaluation.detections is not None, _name_areas(evaluation)
    ends, codes = evaluation.truth.offsets.tolist(), evaluation.truth.label_idx.tolist()
    digests = []
    for i, image in enumerate(evaluation.images):
        true = codes[ends[i] : ends[i + 1]]
        if len(true) > 1:
            true.sort(key=alphabetical.__getitem__)
        content = _frame(image.encode("utf-8", "surrogatepass"))
        content += b"".join([framed[code] for code in true])
        if has_boxes or areas:
            content += b"".join(map(_frame, [*_name_boxes(evaluation, i), *areas.get(i, ())]))
        digests.append(sha256(content).digest())
    return digests


def _frame(part: bytes) -> bytes:
    """A part with its length before it, so that no two lists of parts are the same bytes."""
    return len(part).to_bytes(8) + part


def _name_boxes(evaluation: Evaluation, image: int) -> list[bytes]:
    """The true boxes of an image, each with its label, in an order that they alone decide."""
    if evaluation.detections is None:
        return []
    truth = evaluation.detections.truth
    mine = slice(truth.offsets[image], truth.offsets[image + 1])
    return sorted(
        repr((evaluation.labels[code], *corners)).encode("utf-8", "surrogatepass")
        for code, corners in zip(
            truth.label_idx[mine].tolist(), truth.boxes_xyxy[mine].tolist(), strict=True
        )
    )


def _name_areas(evaluation: Evaluation) -> dict[int, list[bytes]]:
    """Of each image with masks that were read: the true pixels of each label."""
    areas: dict[int, list[bytes]] = {}
    if evaluation.masks is not None:
        masks = evaluation.masks
        n_true = masks.tp + masks.fn
        for row in np.flatnonzero(n_true).tolist():
            area = repr((evaluation.labels[masks.label_idx[row]], int(n_true[row])))
            areas.setdefault(int(masks.image_idx[row]), []).append(
                area.encode("utf-8", "surrogatepass")
            )
    return {image: sorted(texts) for image, texts in areas.items()}


def is_same_project(one: str, other: str) -> bool:
    """Whether two project ARNs name one project: one may lack the number at the other's end.

    >>> is_same_project("arn:aws:rekognition:eu-west-1:1:project/p", "arn:aws:rekognition:eu-west-1:1:project/p/9")
    True
    """  # noqa: E501 (an ARN)
    return one == other or is_fuller(one, other) or is_fuller(other, one)


def is_fuller(one: str, other: str) -> bool:
    """Whether a project ARN is another one with its number."""
    number = one.removeprefix(f"{other}/")
    return other.startswith("arn:") and number != one and number.isdecimal()
