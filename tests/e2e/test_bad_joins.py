"""Bad joins of truth and predictions through `mlrek sync`: one line each, and nothing is silent."""

import json

import pytest
from typer.testing import CliRunner

from mlrek.cli import make_app

LABELS = ("cat", "dog", "fox")
N = 60
IMAGES = [f"s3://bucket/set/photo {i:02}.jpg" for i in range(N)]
Y_TRUE = [LABELS[i % 3] for i in range(N)]
Y_PRED = [LABELS[(i + (i % 7 == 0)) % 3] for i in range(N)]
BOXES = [(10 + i, 20 + 2 * i, 90 + i, 80 + 2 * i) for i in range(N)]
NEXT = {"cat": "dog", "dog": "fox", "fox": "cat"}


def write(path, header, rows):
    """A CSV file."""
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def make_truth(path, change=str, images=IMAGES, labels=Y_TRUE):
    """A row an image."""
    return write(path, "image,label", zip(map(change, images), labels, strict=True))


def make_predictions(path, change=str, labels=Y_PRED, confidence=lambda i: 0.95 - i / 200):
    """A row an image, each of another confidence."""
    rows = zip(map(change, IMAGES), labels, map(confidence, range(N)), strict=True)
    return write(path, "image,label,confidence", rows)


def sync(predictions, truth, *options):
    """The exit code, and the one version, of a dry run in this process."""
    words = ["sync", str(predictions), "--truth", str(truth), "--project", "p", "--version", "v"]
    result = CliRunner().invoke(make_app(), [*words, "--dry-run", "--json", *options])
    (version,) = json.loads(result.stdout)["versions"]
    return result.exit_code, version


REFUSED = {
    "other folder": (lambda im: im.replace("set/", "old/"), Y_PRED, "their folder"),
    "case": (str.upper, Y_PRED, "differ in case"),
    "percent-encoding": (lambda im: im.replace(" ", "%20"), Y_PRED, "percent-encoding"),
    "other ending": (lambda im: im.replace(".jpg", ".png"), Y_PRED, "their ending"),
    "one in ten": (lambda im: im if "0.jpg" in im else im + "x", Y_PRED, "54 of 60 images"),
    "index column": (str, [LABELS.index(y) for y in Y_PRED], "labels are numbers in predictions"),
    "no label in common": (str, [y.upper() for y in Y_PRED], "not one label in common"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_join_that_would_be_wrong_is_refused_in_one_line(name, tmp_path):
    """The version fails, and the reason names what to do."""
    change, labels, said = REFUSED[name]
    predictions = make_predictions(tmp_path / "p.csv", change, labels)

    code, version = sync(predictions, make_truth(tmp_path / "t.csv"))

    assert (code, version["action"]) == (1, "failed")
    assert said in version["reason"]
    assert "\n" not in version["reason"]


def test_names_that_are_written_otherwise_join_when_asked(tmp_path):
    """`--match name`, with a warning that shows both."""
    predictions = make_predictions(tmp_path / "p.csv", lambda im: im.upper().replace(" ", "%20"))
    truth = make_truth(tmp_path / "t.csv")

    assert sync(predictions, truth)[0] == 1
    code, version = sync(predictions, truth, "--match", "name")

    assert (code, version["doubts"][0]["kind"]) == (0, "records_partial")
    assert any("60 of 60 file names are written differently" in one for one in version["warnings"])


def test_shuffled_labels_are_doubted(tmp_path):
    """The doubt stops a gate and names the labels; a map of labels mends it."""
    predictions = make_predictions(tmp_path / "p.csv", labels=[NEXT[y] for y in Y_PRED])
    truth = make_truth(tmp_path / "t.csv")

    doubts = {doubt["kind"]: doubt for doubt in sync(predictions, truth)[1]["doubts"]}
    assert doubts["other_rule"]["effect"] == "stops"
    assert "'dog' for 'cat'" in doubts["other_rule"]["text"]
    names = write(tmp_path / "map.csv", "label,name", [(v, k) for k, v in NEXT.items()])
    mended = sync(predictions, truth, "--label-map", str(names))[1]
    assert "other_rule" not in {doubt["kind"] for doubt in mended["doubts"]}


def test_thresholds_for_confidences_are_doubted(tmp_path):
    """Each label has one number."""
    predictions = make_predictions(
        tmp_path / "p.csv", confidence=lambda i: 0.5 + LABELS.index(Y_PRED[i]) / 10
    )

    _, version = sync(predictions, make_truth(tmp_path / "t.csv"))

    assert "confidence_constant" in {doubt["kind"] for doubt in version["doubts"]}


def test_the_truth_is_no_prediction(tmp_path):
    """Neither the same file, nor the same rows in another order, nor the two exchanged."""
    truth = make_truth(tmp_path / "t.csv")
    again = make_truth(tmp_path / "p.csv", images=IMAGES[::-1], labels=Y_TRUE[::-1])
    predictions = make_predictions(tmp_path / "q.csv")

    assert "the same file" in sync(truth, truth)[1]["reason"]
    assert "this is the truth itself" in sync(again, truth)[1]["reason"]
    assert "these are predictions, not truth" in sync(truth, predictions)[1]["reason"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("swapped", lambda a, b, c, d: (b, a, d, c), "y before x"),
        ("half", lambda *box: tuple(edge / 2 for edge in box), "in another scale"),
        ("widths", lambda a, b, c, d: (a, b, c - a, d - b), "no area"),
    ],
)
def test_boxes_in_another_form_are_refused(name, change, said, tmp_path):
    """Coordinates that only fit when read in another way."""
    header = "image,label,x_min,y_min,x_max,y_max"
    rows = list(zip(IMAGES, Y_TRUE, BOXES, strict=True))
    truth = write(tmp_path / "t.csv", header, [(im, y, *box) for im, y, box in rows])
    found = [(im, y, *change(*box), 0.95 - i / 200) for i, (im, y, box) in enumerate(rows)]
    predictions = write(tmp_path / f"{name}.csv", f"{header},confidence", found)

    code, version = sync(predictions, truth)

    assert code == 1
    assert said in version["reason"]
