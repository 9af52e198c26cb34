"""What manifests and COCO files say of their images besides labels."""

import json

import pytest
from builders.columns import list_columns
from builders.tables import make_files

from mlrek.formats.coco import read_coco_truth
from mlrek.formats.columns import ManifestInput
from mlrek.formats.rekognition.manifest import parse_manifest
from mlrek.formats.truth import parse_ground_truth

SERVICE = "rekognition-custom-labels-"


def _true_line(i, metadata=None, **more):
    """A line of a manifest of true labels."""
    known = {
        "class-name": "cat",
        "confidence": 1,
        "type": "groundtruth/image-classification",
        "job-name": "labeling-job/x",
        "human-annotated": "yes",
        "creation-date": "2023-07-27T18:07:52",
    }
    return {
        "source-ref": f"s3://b/{i}.jpg",
        "pet": 1,
        "pet-metadata": {**known, **(metadata or {})},
        **more,
    }


def _evaluated_line(i, metadata=None, **more):
    """A line of the service's own evaluation manifest."""
    true = _true_line(i, metadata)
    return {
        "source-ref": true["source-ref"],
        f"{SERVICE}training-0": 1,
        f"{SERVICE}training-0-metadata": true["pet-metadata"],
        f"{SERVICE}evaluation-0": 1,
        f"{SERVICE}evaluation-0-metadata": {"class-name": "cat", "confidence": 0.5},
        f"{SERVICE}object-id": i,
        "line-idx": i,
        **more,
    }


def _write(lines):
    return ManifestInput(uri="m", chunks=["".join(f"{json.dumps(x)}\n" for x in lines).encode()])


class _Found:
    def __init__(self, columns, warnings):
        self.columns, self.warnings = columns, warnings


def _read_truth(lines):
    truth = parse_ground_truth(_write(lines))
    return _Found(truth.columns, truth.warnings)


def _read_evaluated(lines):
    manifest = parse_manifest(_write(lines))
    return _Found(*manifest.told.finish(manifest.images))


BOTH = pytest.mark.parametrize(
    ("line", "read"),
    [(_true_line, _read_truth), (_evaluated_line, _read_evaluated)],
    ids=["true labels", "the service's own"],
)


@BOTH
def test_an_ordinary_manifest_says_nothing_more(line, read):
    """The keys of the service, and labels, are no columns."""
    found = read([line(i) for i in range(30)])
    assert list_columns(found) == {}
    assert not found.warnings


@BOTH
def test_scalars_of_a_line_say_something_of_its_image(line, read):
    """Texts, numbers and truth values are columns; lists and objects are none."""
    more = {"lens": {"mm": 5}, "spots": [1]}
    lines = [line(0, site="A", lux=1.5, night=True, **more), line(1, site="B", lux=3, **more)]
    found = read(lines)
    assert list_columns(found) == {"site": ["A", "B"], "lux": [1.5, 3], "night": ["true", None]}


@BOTH
def test_a_key_may_begin_late(line, read):
    """Images of lines without a key have no value, wherever the key begins."""
    lines = [line(i) for i in range(500)] + [line(i, site="A") for i in range(500, 1_000)]
    assert list_columns(read(lines)) == {"site": [None] * 500 + ["A"] * 500}


@BOTH
def test_keys_may_change_from_line_to_line(line, read):
    """A key that only some lines have is of these alone."""
    lines = [line(i, **({"site": "A"} if i % 3 == 0 else {"lux": i % 2})) for i in range(1_000)]
    found = list_columns(read(lines))
    assert found["site"] == ["A" if i % 3 == 0 else None for i in range(1_000)]
    assert found["lux"] == [None if i % 3 == 0 else i % 2 for i in range(1_000)]


@BOTH
def test_keys_of_a_customer_in_metadata_are_columns(line, read):
    """Scalars that somebody keeps in the metadata of a label attribute say something too."""
    lines = [line(i, {"camera": f"c{i % 2}"} if i else None) for i in range(1_000)]
    found = read(lines)
    assert list_columns(found) == {"camera": [None] + [f"c{i % 2}" for i in range(1, 1_000)]}
    assert not found.warnings


@BOTH
def test_metadata_that_begin_after_the_first_lines_are_said(line, read):
    """Where keys in metadata begin far behind, images before have no value, which is said."""
    lines = [line(i, {"camera": "c"} if i >= 1_000 else None) for i in range(9_000)]
    found = read(lines)
    (cells,) = list_columns(found).values()
    assert cells[-1] == "c"
    assert cells[0] is None
    assert any("of your own in metadata begin after the first" in said for said in found.warnings)


@BOTH
def test_what_differs_within_a_line_is_named_and_left_out(line, read):
    """A key with two values on one line is no property of the image; the image is named."""
    found = read([line(0, {"site": "A"}), line(1, {"site": "B"}, site="A")])
    assert list_columns(found) == {}
    (said,) = found.warnings
    assert "'site' ('s3://b/1.jpg')" in said


@BOTH
def test_an_identifier_of_a_line_makes_no_slices(line, read):
    """A key with a value of its own on each line is named in a warning."""
    found = read([line(i, uid=f"u{i}", site="A") for i in range(40)])
    assert list(list_columns(found)) == ["site"]
    assert found.warnings[0].endswith("make no slices: 'uid'")


def test_entries_of_a_data_set_are_read_alike():
    """What ListDatasetEntries prints has the same columns."""
    lines = [json.dumps(_true_line(i, {"camera": "c"}, site="A")) for i in range(2)]
    document = json.dumps({"DatasetEntries": lines}).encode()
    truth = parse_ground_truth(ManifestInput(uri="m", chunks=[document]))
    assert list_columns(truth) == {"site": ["A", "A"], "camera": ["c", "c"]}


def test_lines_that_are_left_out_shift_nothing():
    """A malformed line and one that nobody has labelled leave the values of others in place."""
    lines = [_true_line(i, {"camera": f"c{i % 2}"}, site=f"s{i % 3}") for i in range(6)]
    del lines[1]["source-ref"]
    lines[3] = {"source-ref": "s3://b/3.jpg", "site": "s0"}
    truth = parse_ground_truth(_write(lines), skip_bad_lines=True)
    assert truth.images == tuple(f"s3://b/{i}.jpg" for i in (0, 2, 4, 5))
    assert list_columns(truth) == {
        "site": ["s0", "s2", "s1", "s2"],
        "camera": ["c0", "c0", "c0", "c1"],
    }


@pytest.mark.parametrize("name", ["<script>", "a\nb", "x=*", "n" * 5_000, "ключ"])
def test_hostile_keys_are_names(name):
    """Whatever a key is called, it is a name, cut where it is long."""
    found = _read_evaluated([_evaluated_line(i, **{name: "v"}) for i in range(3)])
    ((told, cells),) = list_columns(found).items()
    assert told == name if len(name) <= 200 else told[:190] == name[:190]
    assert cells == ["v"] * 3


def test_images_of_coco_have_columns():
    """Scalar fields of COCO's images are columns, besides those that COCO itself defines."""
    images = [
        {
            "id": i,
            "file_name": f"{i}.jpg",
            "width": 640,
            "height": 480,
            "license": 1,
            "date_captured": "2013",
            "coco_url": "http://x",
            "site": f"s{i % 2}",
            "lux": i / 2,
            "lens": {"mm": 5},
        }
        for i in (0, 1, 2)
    ]
    annotations = [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]}]
    categories = [{"id": 1, "name": "cat"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    truth = read_coco_truth(make_files(json.dumps(document)))
    assert list_columns(truth) == {"site": ["s0", "s1", "s0"], "lux": [0, 0.5, 1]}
