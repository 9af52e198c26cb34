"""When bytes differ for certain, when they are equal, and what that raises; by hand."""

from dataclasses import replace

import numpy as np
import pytest
from builders.evaluations import build_evaluation

from mlrek.errors import EvaluationError
from mlrek.evaluation import Contents, DoubtKind
from mlrek.formats.doubts import (
    add_contents,
    add_copies,
    doubt_different,
    find_different,
    list_prints,
)
from mlrek.metrics import test_set as identity
from mlrek.tracking.description import Options, compute_evaluation_key

ONE, OTHER = "d41d8cd98f00b204e9800998ecf8427e", "5d41402abc4b2a76b9719d911017c592"
TRAINED_MS = 1_690_474_772_815  # 2023-07-27 16:19:32.815 UTC


def make_contents(*rows):
    """Contents of images by (size, ETag, whether that is an MD5, SHA-256, time)."""
    sizes, etags, are_md5, sha256, times = zip(*rows, strict=True)
    return Contents(
        sizes=np.array(sizes),
        etags=etags,
        is_md5=np.array(are_md5),
        sha256=sha256,
        modified_ms=np.array(times),
    )


def in_s3(etag, *, size=5, is_md5=True, at=TRAINED_MS):
    """An object."""
    return size, etag, is_md5, "", at


def on_disk(sha256, *, size=5):
    """A local file."""
    return size, "", False, sha256, -1


UNKNOWN = (-1, "", False, "", -1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (in_s3(ONE), in_s3(ONE), (False, 1)),
        (in_s3(ONE), in_s3(OTHER), (True, 1)),
        (in_s3(ONE), in_s3(ONE, at=TRAINED_MS + 1), (False, 1)),  # the same bytes, written again
        (in_s3(ONE), in_s3(OTHER, is_md5=False), (False, 1)),  # encrypted by KMS since
        (in_s3(ONE, is_md5=False), in_s3(OTHER, is_md5=False), (False, 1)),
        (in_s3(f"{ONE}-2", is_md5=False), in_s3(f"{OTHER}-3", is_md5=False), (False, 1)),
        (in_s3(f"{ONE}-2", is_md5=False), in_s3(f"{ONE}-2", size=6, is_md5=False), (True, 1)),
        (on_disk("ab"), on_disk("ab"), (False, 1)),
        (on_disk("ab"), on_disk("cd"), (True, 1)),
        (on_disk("ab"), in_s3(ONE), (False, 1)),
        (on_disk("ab"), in_s3(ONE, size=6), (True, 1)),
        (UNKNOWN, in_s3(ONE), (False, 0)),
        (UNKNOWN, UNKNOWN, (False, 0)),
    ],
)
def test_what_differs_for_certain(first, second, expected):
    """Another size, another MD5 or SHA-256; anything else is no evidence, in either order."""
    nothing = np.array([0])
    for one, other in ((first, second), (second, first)):
        differs, n_known = find_different(
            make_contents(one), nothing, make_contents(other), nothing
        )
        assert (differs.tolist(), n_known) == ([expected[0]], expected[1])


def test_images_are_paired_by_place():
    """The second of the one is the first of the other."""
    first = make_contents(in_s3(ONE), in_s3(OTHER), UNKNOWN)
    second = make_contents(in_s3(OTHER), UNKNOWN, in_s3(OTHER))
    differs, n_known = find_different(first, np.array([1, 0, 2]), second, np.array([0, 2, 1]))
    assert (differs.tolist(), n_known) == ([False, True, False], 2)


def test_bytes_are_known_again_by_size_and_digest():
    """Whatever an ETag is made of; nothing is known of what has no bytes at all."""
    contents = make_contents(
        in_s3(f"{ONE}-2", is_md5=False), on_disk("ab"), in_s3(ONE, size=0), UNKNOWN
    )
    assert list_prints(contents) == [((5, f"{ONE}-2"),), ((5, "ab"),), (), ()]


def test_columns_of_unequal_length_are_refused():
    """They would tell one image's bytes for another's."""
    with pytest.raises(EvaluationError, match="unequal length"):
        replace(make_contents(UNKNOWN), etags=())


@pytest.fixture
def evaluation():
    """Three images, tested when the training ended."""
    built = build_evaluation([[0], [1], [1]], [[(0, 0.9)]] * 3, images="abc")
    version = replace(built.version, name="v7", training_end_ms=TRAINED_MS)
    return replace(built, version=version)


def test_what_was_written_after_the_training_is_doubted(evaluation):
    """In the very millisecond it was not; on your own test set there is no such rule."""
    rows = [in_s3(ONE, at=TRAINED_MS + extra) for extra in (1, 0, 5000)]
    contents = make_contents(*rows)
    (doubt,) = add_contents(evaluation, contents, is_services=True).doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.PICTURES_CHANGED, 2, 3)
    assert doubt.text == (
        "2 of 3 test images were written after v7 was trained and tested (2023-07-27 16:19 UTC): "
        "its numbers may be of other pictures: 'a', 'c'"
    )
    assert add_contents(evaluation, contents, is_services=False).doubts == ()
    timeless = replace(evaluation, version=replace(evaluation.version, training_end_ms=None))
    assert add_contents(timeless, contents, is_services=True).doubts == ()


def test_copies_add_to_what_was_trained_on_by_name(evaluation):
    """One doubt counts both."""
    by_name = replace(evaluation, seen_in_training=np.array([True, False, False]))
    found = add_copies(by_name, np.array([True, False, True]))
    (doubt,) = found.doubts
    assert found.seen_in_training.tolist() == [True, False, True]
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.SEEN_IN_TRAINING, 2, 3)
    assert add_copies(by_name, np.array([False, False, False])) is by_name


def test_a_doubt_of_no_image_is_none():
    """Nothing to say."""
    assert list(doubt_different([], 7)) == []


def test_contents_are_no_part_of_any_identity(evaluation):
    """Neither of the test set nor of the run: the same evaluation is logged once."""
    contents = make_contents(*[in_s3(ONE, at=TRAINED_MS + 1)] * 3)
    told = add_contents(evaluation, contents, is_services=True)
    assert identity.test_set_digest(told) == identity.test_set_digest(evaluation)
    assert compute_evaluation_key(told, Options()) == compute_evaluation_key(evaluation, Options())
