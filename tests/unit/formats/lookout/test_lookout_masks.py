"""Masks: which are read, what their colours mean, and how many pixels agree."""

import json
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlrek.errors import ParseError, SourceError
from mlrek.evaluation import DoubtKind, Effect, Task

RED, GREEN, WHITE, CLEAR = (255, 0, 0, 255), (0, 255, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0)
CRACK = {"crack": "#FF0000"}
TRUE, PRED = "s3://b/true.png", "s3://b/pred.png"


def _encode(rows):
    """A PNG file of rows of RGBA pixels."""
    buffer = BytesIO()
    Image.fromarray(np.array(rows, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def make_marked(make_image, make_mask):
    """A function that makes a line with masks; None leaves one out."""

    def make(marked=CRACK, found=CRACK, *, key="name", **image):
        line = make_image(**image)
        if marked is not None:
            line |= make_mask(TRUE, marked)
        if found is not None:
            name = "anomaly-mask-ref-detected"
            line |= make_mask(PRED, found, name=name, key=key, human="no")
        return line

    return make


@pytest.fixture(scope="session")
def count(read_lookout):
    """A function that reads lines and masks: {(image, label): (tp, fp, fn)}."""

    def read(lines, true=None, pred=None):
        evaluation = read_lookout(lines, masks={TRUE: true, PRED: pred})
        masks = evaluation.masks
        counts = np.stack([masks.tp, masks.fp, masks.fn], axis=1).tolist()
        return {
            (int(image), evaluation.labels[label]): tuple(row)
            for image, label, row in zip(masks.image_idx, masks.label_idx, counts, strict=True)
        }

    return read


def test_pixels_of_two_masks(count, make_marked):
    """True and predicted, predicted only, true only."""
    true = _encode([[RED, RED, RED, CLEAR]])
    pred = _encode([[RED, CLEAR, CLEAR, RED]])
    assert count([make_marked()], true, pred) == {(0, "crack"): (1, 1, 2)}


def test_evaluation_of_masks(read_lookout, make_marked):
    """Kinds of anomaly are labels after the two classes of the whole image, which stay."""
    mask = _encode([[RED]])
    evaluation = read_lookout([make_marked()], masks={TRUE: mask, PRED: mask})
    assert evaluation.task is Task.SEGMENTATION
    assert evaluation.labels == ("normal", "anomaly", "crack")
    assert evaluation.pos_label == "anomaly"
    assert evaluation.records.counts.tolist() == [2]
    assert evaluation.masks.readable.tolist() == [True]
    assert evaluation.warnings == ()


def test_labels_in_the_order_of_the_result(read_lookout, make_marked):
    """Then, alphabetically, what only masks have; the background is none."""
    colors = {"BACKGROUND": "#ffffff", "stain": "#0000ff", "crack": "#ff0000", "ash": "#00ff00"}
    kinds = [{"ClassName": "stain"}, {"ClassName": "dent"}]
    result = {"AggregatedEvaluationResults": {"Metrics": {"PixelAnomalyClassMetrics": kinds}}}
    evaluation = read_lookout([make_marked(colors)], result=result)
    assert evaluation.labels == ("normal", "anomaly", "stain", "dent", "ash", "crack")


@pytest.mark.parametrize("key", ["name", "class-name"])
@pytest.mark.parametrize("color", ["#Ff0000", "#ff0000", "#FF0000"])
def test_spelling_of_colours_does_not_matter(count, make_marked, key, color):
    """The service writes capitals and `class-name`, its successor small letters and `name`."""
    mask = _encode([[RED]])
    line = make_marked(found={"background": "#ffffff", "crack": color}, key=key)
    assert count([line], mask, mask) == {(0, "crack"): (1, 0, 0)}


def test_colours_of_the_two_masks_are_their_own(count, make_marked):
    """What is red in one may be green in the other."""
    true, pred = _encode([[RED, GREEN]]), _encode([[GREEN, RED]])
    line = make_marked(
        {"crack": "#ff0000", "stain": "#00ff00"}, {"stain": "#ff0000", "crack": "#00ff00"}
    )
    assert count([line], true, pred) == {(0, "crack"): (1, 0, 0), (0, "stain"): (1, 0, 0)}


def test_two_colours_of_one_label(count, make_marked, make_mask):
    """Both are that label."""
    line = make_marked()
    colors = line["anomaly-mask-ref-metadata"]["internal-color-map"]
    colors["9"] = {"class-name": "crack", "hex-color": "#00ff00"}
    true, pred = _encode([[RED, GREEN]]), _encode([[RED, RED]])
    assert count([line], true, pred) == {(0, "crack"): (2, 0, 0)}


def test_white_is_the_background_that_is_not_named(count, make_marked):
    """The service paints it so; a label that is white is a label."""
    white, red = _encode([[WHITE, RED]]), _encode([[CLEAR, RED]])
    assert count([make_marked()], white, red) == {(0, "crack"): (1, 0, 0)}
    snow = {"crack": "#ff0000", "snow": "#ffffff"}
    assert count([make_marked(snow)], white, red) == {
        (0, "crack"): (1, 0, 0),
        (0, "snow"): (0, 0, 1),
    }


def test_edges_of_a_mask(count, make_marked):
    """Less than half opaque is background; another colour is the nearest."""
    true = _encode([[(255, 0, 0, 128), (255, 0, 0, 127), (200, 60, 60, 255), (250, 240, 240, 255)]])
    pred = _encode([[RED, RED, RED, RED]])
    assert count([make_marked()], true, pred) == {(0, "crack"): (2, 2, 0)}


def test_normal_image_needs_no_mask(count, make_marked):
    """It marks nothing, in truth as in prediction."""
    red = _encode([[RED, CLEAR]])
    assert count([make_marked(None, true="normal")], None, red) == {(0, "crack"): (0, 1, 0)}
    lines = [make_marked(found=None, predicted="normal"), make_marked(None, true="normal")]
    assert count(lines, red, _encode([[CLEAR]])) == {(0, "crack"): (0, 0, 1)}


def test_image_without_prediction_is_all_missed(count, make_marked):
    """No answer marks nothing."""
    lines = [make_marked(found=None, predicted=None), make_marked(None, true="normal")]
    red = _encode([[RED, CLEAR]])
    assert count(lines, red, _encode([[CLEAR]])) == {(0, "crack"): (0, 0, 1)}


def test_anomaly_without_a_true_mask_is_unknown(read_lookout, make_marked):
    """Nobody has marked its pixels: it takes no part in the pixel numbers, which a doubt counts."""
    mask = _encode([[RED]])
    lines = [make_marked(marked=None, true="anomaly"), make_marked(image="s3://b/2.jpg")]
    evaluation = read_lookout(lines, masks={TRUE: mask, PRED: mask})
    assert evaluation.masks.readable.tolist() == [False, True]
    assert evaluation.masks.image_idx.tolist() == [1]
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.TRUTH_UNKNOWN, 1, 2)
    assert doubt.touches_number("aggregate/mean_iou")
    assert not doubt.touches_number("reported/f1")


def test_anomaly_without_a_predicted_mask_is_a_miss(read_lookout, make_marked):
    """Nothing is marked on it, where the truth marks something."""
    mask = _encode([[RED]])
    lines = [make_marked(found=None, predicted="anomaly"), make_marked(image="s3://b/2.jpg")]
    evaluation = read_lookout(lines, masks={TRUE: mask, PRED: mask})
    assert evaluation.masks.readable.tolist() == [True, True]
    assert evaluation.masks.fn.tolist() == [1, 0]
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.UNANSWERED, 1, 2)


def test_an_image_without_class_and_mask_is_left_out(read_lookout, make_marked):
    """Nobody has labelled it."""
    mask = _encode([[RED]])
    lines = [make_marked(marked=None, true=None), make_marked(image="s3://b/2.jpg")]
    evaluation = read_lookout(lines, masks={TRUE: mask, PRED: mask})
    assert evaluation.images == ("s3://b/2.jpg",)
    assert evaluation.masks.image_idx.tolist() == [0]
    assert [doubt.kind for doubt in evaluation.doubts] == [DoubtKind.TRUTH_UNKNOWN]


def test_masks_of_normal_images_may_be_a_dummy(read_lookout, make_marked, cookies):
    """One whose colours are background alone is not even read."""
    dummy = {"BACKGROUND": "#ffffff"}
    evaluation = read_lookout([make_marked(dummy, true="normal")], masks={PRED: _encode([[RED]])})
    assert evaluation.masks.fp.tolist() == [1]
    white = (cookies / "dummy_anomaly_mask.png").read_bytes()
    masks = {TRUE: white, PRED: _encode([[RED, RED]])}
    evaluation = read_lookout([make_marked()], masks=masks)
    assert evaluation.masks.fp.tolist() == [2]
    assert evaluation.warnings == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SourceError(PRED, "is not there"), "is not there"),
        (b"GIF89a", "is no PNG image"),
        (b"", "is no PNG image"),
        (_encode([[RED, RED]]), "differ in size"),
        (_encode([[RED]])[:-20], "is a broken PNG image"),
        (_encode([[RED]]).replace(b"IDAT", b"IDAU"), "is a broken PNG image"),
    ],
)
def test_mask_that_cannot_be_compared(read_lookout, make_marked, content, reason):
    """Its image takes no part in the pixel numbers; a doubt says why, and stops them."""
    other = "s3://b/other.png"
    lines = [make_marked(), make_marked(image="s3://b/2.jpg")]
    lines[1]["anomaly-mask-ref-detected"] = other
    red = _encode([[RED]])
    evaluation = read_lookout(lines, masks={TRUE: red, PRED: content, other: red})
    assert evaluation.masks.readable.tolist() == [False, True]
    assert evaluation.masks.tp.tolist() == [1]
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.IMAGES_MISSING, 1, 2)
    assert doubt.effect is Effect.STOPS
    assert doubt.touches_number("aggregate/pixel_f1")
    warning = doubt.text
    assert warning.startswith("the masks of 1 of 2 images cannot be compared")
    assert "'s3://b/1.jpg'" in warning
    assert reason in warning


def test_what_reading_raises_ends_it(model, read_lookout, make_marked):
    """A place that may not be read at all is no matter of one mask."""

    class Denied(dict):
        def __missing__(self, uri):
            raise SourceError(uri, "access denied")

    with pytest.raises(SourceError, match="access denied"):
        read_lookout([make_marked()], masks=Denied())


def test_masks_that_nobody_reads(read_lookout, make_marked):
    """The images are there, without any pixel."""
    evaluation = read_lookout([make_marked()])
    assert evaluation.task is Task.SEGMENTATION
    assert evaluation.masks.readable.tolist() == [False]
    assert evaluation.warnings == ("no mask was read, so nothing is computed from pixels",)


def test_true_masks_alone(read_lookout, make_marked):
    """Without a predicted one the model marks none, unless the result has numbers of pixels."""
    lines = [make_marked(found=None), make_marked(found=None, predicted="normal")]
    evaluation = read_lookout(lines)
    assert (evaluation.task, evaluation.labels) == (Task.CLASSIFICATION, ("normal", "anomaly"))
    assert evaluation.warnings[-1].startswith("2 of 2 images have a true mask, but no predicted")
    result = {"AggregatedEvaluationResults": {"Metrics": {"PixelAnomalyClassMetrics": []}}}
    evaluation = read_lookout(lines, result=result, masks={})
    assert evaluation.task is Task.SEGMENTATION
    assert evaluation.masks.readable.tolist() == [False, False]
    assert evaluation.warnings[-1].startswith("the manifest names no predicted mask")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"anomaly-mask-ref-detected": 3}, "anomaly-mask-ref-detected is 3, not the place"),
        ({"anomaly-mask-ref-detected-metadata": {}}, "is None, not a map of colours"),
        (
            {"anomaly-mask-ref-metadata": {"internal-color-map": {"0": {"hex-color": "#000000"}}}},
            "a class of internal-color-map is None, not a label",
        ),
        (
            {
                "anomaly-mask-ref-metadata": {
                    "internal-color-map": {"0": {"name": "crack", "hex-color": "red"}}
                }
            },
            "the colour of 'crack' is 'red', not a colour like #23a436",
        ),
    ],
)
def test_malformed_mask_fails_with_its_line(read_lookout, make_marked, changes, reason):
    """As any other malformed line."""
    with pytest.raises(ParseError) as caught:
        read_lookout([make_marked(), make_marked() | changes])
    assert caught.value.line == 2
    assert reason in caught.value.reason


def test_metadata_of_an_adjusted_mask(count, make_marked):
    """Some tools leave `-ref` out of its name."""
    line = make_marked()
    line["anomaly-mask-metadata"] = line.pop("anomaly-mask-ref-metadata")
    mask = _encode([[RED]])
    assert count([line], mask, mask) == {(0, "crack"): (1, 0, 0)}


@pytest.mark.parametrize(("name", "n_pixels"), [("anomaly-10", 8601), ("anomaly-23", 29609)])
def test_real_masks(read_lookout, make_image, make_mask, cookies, name, n_pixels):
    """Two kinds of PNG, smooth edges, no background: what is at least half opaque is cracked.

    Its pixels are counted with Pillow alone: those whose alpha is 128 or more.
    """
    lines = map(json.loads, (cookies / "train_segmentation.manifest").read_bytes().splitlines())
    (truth,) = (line for line in lines if line["source-ref"].endswith(f"/{name}.jpg"))
    own, other = ((cookies / f"{each}.png").read_bytes() for each in (name, "anomaly-26"))
    found = {"background": "#ffffff", "cracked": "#23a436"}
    detected = make_mask(PRED, found, name="anomaly-mask-ref-detected", key="name", human="no")
    answer = make_image(name="anomaly-label")
    line = answer | truth | detected
    for pred, expected in ((own, (n_pixels, 0, 0)), (other, _compare_alpha(own, other))):
        masks = {truth["anomaly-mask-ref"]: own, PRED: pred}
        evaluation = read_lookout([line], masks=masks)
        counts = evaluation.masks
        assert evaluation.labels == ("normal", "anomaly", "cracked")
        assert (counts.tp.item(), counts.fp.sum(), counts.fn.sum()) == expected


def _compare_alpha(true, pred):
    true, pred = (
        np.asarray(Image.open(BytesIO(png)).convert("RGBA"))[..., 3] > 127 for png in (true, pred)
    )
    return (true & pred).sum(), (~true & pred).sum(), (true & ~pred).sum()


def test_mask_that_would_fill_the_memory(read_lookout, make_marked):
    """Its size is known before any pixel of it is."""
    bomb = _join([(b"IHDR", struct.pack(">II5B", 100_000, 100_000, 8, 6, 0, 0, 0))])
    (warning,) = read_lookout([make_marked()], masks={TRUE: bomb, PRED: bomb}).warnings
    assert f"{TRUE}: is 100000 x 100000 pixels" in warning


def test_mask_of_two_sizes(read_lookout, make_marked):
    """Only the first one was looked at before decoding."""
    small, large = _split(_encode([[RED]])), _split(_encode([[RED] * 9]))
    mask = _join([small[0], *large])
    (warning,) = read_lookout([make_marked()], masks={TRUE: mask, PRED: mask}).warnings
    assert f"{TRUE}: is a broken PNG image of several sizes" in warning


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_bytes_are_a_mask_or_refused(cookies, read_lookout, make_marked, data):
    """A real mask with some of its parts changed, under right checksums, is read or refused."""
    name = data.draw(st.sampled_from(["anomaly-10", "anomaly-26", "dummy_anomaly_mask"]))
    chunks = _split((cookies / f"{name}.png").read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        i = data.draw(st.integers(0, len(chunks) - 1))
        kind, content = chunks[i]
        kinds = st.sampled_from([kind, b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"iCCP"])
        cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
        start = data.draw(st.binary(max_size=6))
        changed = data.draw(kinds), start + content[len(start) : cut]
        chunks[i : i + 1] = data.draw(st.sampled_from([[], [changed], [changed, chunks[i]]]))
        chunks = chunks or [changed]
    cracked, mask = {"cracked": "#23a436"}, _join(chunks)
    evaluation = read_lookout([make_marked(cracked, cracked)], masks={TRUE: mask, PRED: mask})
    is_refused = any("no mask can be compared" in warning for warning in evaluation.warnings)
    assert evaluation.masks.readable.tolist() == [not is_refused]


def _split(png):
    """The chunks of a PNG file: (kind, content)."""
    chunks, place = [], 8
    while place < len(png):
        (size,) = struct.unpack_from(">I", png, place)
        chunks.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + size]))
        place += 12 + size
    return chunks


def _join(chunks):
    """A PNG file of chunks, with the sizes and checksums that belong to them."""
    parts = [
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
