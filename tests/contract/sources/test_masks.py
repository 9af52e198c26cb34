"""Masks that a manifest of Lookout for Vision names: where they are looked for."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mlrek.sources import open_source

ARN = "arn:aws:lookoutvision:eu-west-1:111122223333:model/cookies/2"
MANIFEST = "EvaluationManifest-cookies-2.json"


def draw(n_red):
    """A mask of 400 pixels, of which so many are red: that tells one mask from another."""
    pixels = np.zeros((1, 400, 4), dtype=np.uint8)
    pixels[0, :n_red] = (255, 0, 0, 255)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_line(image, true, found):
    """A line of the manifest: an anomaly that was found, and its two masks."""
    colors = {"internal-color-map": {"0": {"class-name": "crack", "hex-color": "#ff0000"}}}
    label = {"class-name": "anomaly", "type": "groundtruth/image-classification"}
    mask = {"type": "groundtruth/semantic-segmentation", **colors}
    line = {
        "source-ref": f"s3://b/images/{image}.jpg",
        "x": 1,
        "x-metadata": label | {"human-annotated": "yes"},
        "x-detected": 1,
        "x-detected-metadata": label | {"confidence": 0.9, "model-arn": ARN},
        "anomaly-mask-ref": true,
        "anomaly-mask-ref-metadata": mask | {"human-annotated": "yes"},
        "anomaly-mask-ref-detected": found,
        "anomaly-mask-ref-detected-metadata": mask | {"human-annotated": "no"},
    }
    return json.dumps(line).encode() + b"\n"


def write_manifest(pairs):
    """A manifest of images by their true and predicted masks."""
    return b"".join(write_line(i, *pair) for i, pair in enumerate(pairs))


def load(place):
    """The only evaluation there."""
    source = open_source(place)
    (entry,) = source.list_versions()
    return source.load(entry)


def count_red(evaluation):
    """The red pixels of each image's true and predicted mask; None where one was not read."""
    masks = evaluation.masks
    counts = [[0, 0] if readable else None for readable in masks.readable.tolist()]
    for image, tp, fp, fn in zip(masks.image_idx, masks.tp, masks.fp, masks.fn, strict=True):
        counts[image] = [tp + fn, tp + fp]
    return counts


@pytest.fixture
def below(tmp_path):
    """Put masks and a manifest that names others of them in a folder; its evaluation."""

    def read(files, pairs):
        files = {MANIFEST: write_manifest(pairs), **files}
        for path, content in files.items():
            file = tmp_path / "set" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return load(str(tmp_path / "set"))

    return read


@pytest.mark.parametrize(
    "uri",
    ["s3://bucket/a/masks/1.png", "a/masks/1.png", "./a/masks/1.png", "/data/a/masks/1.png"],
)
@pytest.mark.parametrize("place", ["a/masks/1.png", "masks/1.png", "1.png"])
def test_a_mask_lies_below_the_manifest(below, uri, place):
    """Under as much of its path as there is."""
    assert count_red(below({place: draw(7)}, [(uri, uri)])) == [[7, 7]]


def test_the_longest_path_counts(below):
    """True and predicted masks may have the same names in folders of their own."""
    files = {"true/1.png": draw(1), "found/1.png": draw(2), "1.png": draw(3)}
    pairs = [("s3://b/true/1.png", "s3://b/found/1.png")]
    assert count_red(below(files, pairs)) == [[1, 2]]


def test_no_path_leaves_the_folder(below, tmp_path):
    """Names are untrusted."""
    (tmp_path / "secret.png").write_bytes(draw(9))
    evaluation = below({"1.png": draw(1)}, [("../secret.png", "1.png")])
    (warning,) = [text for text in evaluation.warnings if "secret" in text]
    assert count_red(evaluation) == [None]
    assert "no such mask there" in warning


def test_masks_come_in_order_with_what_is_missing_in_its_place(below):
    """However many there are, also those that are asked for twice."""
    n = 300
    files = {f"{i}.png": draw(i + 1) for i in range(n) if i != 5}
    uris = [*(f"s3://b/m/{i}.png" for i in range(n)), "s3://b/m/0.png"]
    found = count_red(below(files, [(uri, uri) for uri in uris]))
    assert found == [*([i + 1, i + 1] if i != 5 else None for i in range(n)), [1, 1]]


def test_other_masks_have_another_digest(below):
    """So that a run is made anew when masks change."""
    digests = set()
    for n_red in (1, 2, 1):
        (masks,) = [
            file
            for file in below({"1.png": draw(n_red)}, [("1.png", "1.png")]).files
            if file.role == "masks"
        ]
        digests.add(masks.sha256)
    assert len(digests) == 2


def test_in_s3_a_mask_is_read_where_the_manifest_says(s3_server):
    """Or, if that is gone or denied, below the manifest."""
    s3_server.put("origin", "masks/1.png", draw(1))
    s3_server.put("copy", "set/masks/1.png", draw(9))
    s3_server.put("copy", "set/masks/2.png", draw(2))
    s3_server.put("origin", "masks/3.png", draw(8))
    s3_server.put("copy", "set/masks/3.png", draw(3))
    s3_server.proxy.fail("origin/masks/3.png", 403, "AccessDenied")
    uris = [f"s3://origin/masks/{i}.png" for i in (1, 2, 3)]
    s3_server.put("copy", f"set/{MANIFEST}", write_manifest([(uri, uri) for uri in uris]))
    assert count_red(load("s3://copy/set")) == [[1, 1], [2, 2], [3, 3]]


def test_a_denied_mask_says_so(s3_server):
    """Not that it is missing."""
    s3_server.put("origin", "1.png", draw(1))
    s3_server.proxy.fail("origin/1.png", 403, "AccessDenied")
    manifest = write_manifest([("s3://origin/1.png", "s3://origin/1.png")])
    s3_server.put("copy", f"set/{MANIFEST}", manifest)
    evaluation = load("s3://copy/set")
    assert count_red(evaluation) == [None]
    assert any("access denied" in warning for warning in evaluation.warnings)
