"""`evaluation.parquet`: what is written is read, now and later."""

import base64
import io
import json
import zlib
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mlrek.errors import EvaluationError, MlrekError
from mlrek.evaluation import (
    Boxes,
    Contents,
    Detections,
    Doubt,
    DoubtKind,
    Effect,
    Evaluation,
    LabelSets,
    MaskCounts,
    Outcome,
    Project,
    Provider,
    Records,
    Reported,
    ReportedCurve,
    SliceColumn,
    SourceFile,
    Task,
    Version,
)
from mlrek.formats.stored import MAX_HEADER, dump_evaluation, load_stored

_TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
_NUMBER = st.floats(allow_nan=False, allow_infinity=False)
_COUNT = st.none() | st.integers(0, 2**40)


@st.composite
def _lists(draw, n_images, n_labels):
    """(offsets, label codes): each image has distinct labels, rising."""
    labels = st.lists(st.integers(0, n_labels - 1), unique=True, max_size=4).map(sorted)
    per_image = [draw(labels) if n_labels else [] for _ in range(n_images)]
    offsets = np.cumsum([0, *map(len, per_image)])
    return offsets, np.array([x for each in per_image for x in each], dtype=np.int32)


@st.composite
def _curves(draw):
    n = draw(st.integers(0, 3))
    column = st.lists(st.floats(allow_infinity=False), min_size=n, max_size=n).map(np.array)
    return ReportedCurve(**{field.name: draw(column) for field in fields(ReportedCurve)})


_BASELINE = st.builds(
    Reported, aggregate=st.dictionaries(_TEXT, _NUMBER, max_size=2), curves=st.just({})
)
_REPORTED = st.builds(
    Reported,
    aggregate=st.dictionaries(_TEXT, _NUMBER, max_size=3),
    baseline=st.none() | _BASELINE,
    per_label=st.dictionaries(_TEXT, st.dictionaries(_TEXT, _NUMBER, max_size=2), max_size=3),
    confusion=st.lists(st.tuples(_TEXT, _TEXT, _NUMBER), max_size=3).map(tuple),
    curves=st.dictionaries(_TEXT, _curves(), max_size=2),
    test_images=_COUNT,
    train_images=_COUNT,
)
_VERSION = st.builds(
    Version,
    project=st.builds(Project, provider=st.sampled_from(Provider), arn=_TEXT, name=_TEXT),
    arn=_TEXT,
    name=_TEXT,
    status=_TEXT,
    training_start_ms=_COUNT,
    training_end_ms=_COUNT,
    billable_minutes=st.none() | _NUMBER,
    copied_from=_TEXT,
)
_FILE = st.builds(SourceFile, role=_TEXT, uri=_TEXT, size=st.integers(0, 2**40), sha256=_TEXT)


@st.composite
def _records(draw, n_images, n_labels):
    offsets, label_idx = draw(_lists(n_images, n_labels))
    n = len(label_idx)
    return Records(
        offsets=offsets,
        label_idx=label_idx,
        confidence=np.array(draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)), dtype=float),
        outcome=draw(_outcomes(n)),
    )


def _outcomes(n):
    outcomes = st.lists(st.sampled_from(Outcome), min_size=n, max_size=n)
    return outcomes.map(lambda codes: np.array(codes, dtype=np.uint8))


@st.composite
def _boxes(draw, n_images, n_labels, *, is_truth):
    counts = draw(
        st.lists(st.integers(0, 3 if n_labels else 0), min_size=n_images, max_size=n_images)
    )
    n = sum(counts)
    corner = st.floats(-1e6, 1e6)
    label = st.lists(st.integers(0, max(n_labels - 1, 0)), min_size=n, max_size=n)
    confidence = st.lists(st.floats(0, 1) | st.just(np.nan), min_size=n, max_size=n)
    corners = draw(st.lists(st.tuples(*[corner] * 4), min_size=n, max_size=n))
    return Boxes(
        offsets=np.cumsum([0, *counts]),
        label_idx=np.array(draw(label), dtype=np.int32),
        boxes_xyxy=np.array(corners, dtype=float).reshape(n, 4),
        confidence=np.full(n, np.nan) if is_truth else np.array(draw(confidence), dtype=float),
        outcome=np.full(n, Outcome.UNKNOWN, np.uint8) if is_truth else draw(_outcomes(n)),
    )


@st.composite
def _detections(draw, n_images, n_labels):
    size = st.floats(1, 1e5) | st.just(np.nan)
    sizes = draw(st.lists(st.tuples(size, size), min_size=n_images, max_size=n_images))
    return Detections(
        truth=draw(_boxes(n_images, n_labels, is_truth=True)),
        records=draw(_boxes(n_images, n_labels, is_truth=False)),
        image_sizes=np.array(sizes, dtype=float).reshape(n_images, 2),
        normalized=draw(st.booleans()),
    )


@st.composite
def _masks(draw, n_images, n_labels):
    offsets, label_idx = draw(_lists(n_images, n_labels))
    n = len(label_idx)
    pixels = st.lists(st.integers(0, 2**40), min_size=n, max_size=n)
    readable = st.lists(st.booleans(), min_size=n_images, max_size=n_images)
    return MaskCounts(
        image_idx=np.repeat(np.arange(n_images), np.diff(offsets)),
        label_idx=label_idx,
        **{part: np.array(draw(pixels), dtype=np.int64) for part in ("tp", "fp", "fn")},
        readable=np.array(draw(readable), dtype=bool),
    )


def _seen(n_images):
    return st.lists(st.booleans(), min_size=n_images, max_size=n_images).map(
        lambda flags: np.array(flags, dtype=bool)
    )


@st.composite
def _contents(draw, n_images):
    def column(values):
        return draw(st.lists(values, min_size=n_images, max_size=n_images))

    return Contents(
        sizes=np.array(column(st.integers(-1, 2**40)), dtype=np.int64),
        etags=tuple(column(_TEXT)),
        is_md5=draw(_seen(n_images)),
        sha256=tuple(column(_TEXT)),
        modified_ms=np.array(column(st.integers(-1, 2**41)), dtype=np.int64),
    )


@st.composite
def _slice_columns(draw, n_images):
    """Columns of texts and of numbers, some images without a value; any name and text."""
    columns = []
    for name in draw(st.lists(_TEXT, unique=True, max_size=3)):
        if n_images and draw(st.booleans()):
            values = tuple(draw(st.lists(_TEXT, unique=True, max_size=3)))
            code = st.integers(-1, len(values) - 1)
            codes = draw(st.lists(code, min_size=n_images, max_size=n_images))
            columns.append(SliceColumn(name=name, values=values, codes=np.array(codes)))
        else:
            number = st.floats(allow_infinity=False)
            numbers = draw(st.lists(number, min_size=n_images, max_size=n_images))
            columns.append(SliceColumn(name=name, numbers=np.array(numbers, dtype=np.float64)))
    return tuple(columns)


@st.composite
def evaluations(draw):
    """Any evaluation, of whatever task; what its task does not call for may be there too."""
    labels = tuple(draw(st.lists(_TEXT, unique=True, max_size=5)))
    images = tuple(draw(st.lists(_TEXT, max_size=5)))
    size = len(images), len(labels)
    threshold = st.just(np.nan) | st.floats(0, 1)
    true_offsets, true_label = draw(_lists(*size))
    return Evaluation(
        version=draw(_VERSION),
        task=draw(st.sampled_from(Task)),
        labels=labels,
        images=images,
        truth=LabelSets(offsets=true_offsets, label_idx=true_label),
        records=draw(_records(*size)),
        thresholds=np.array([draw(threshold) for _ in labels], dtype=np.float64),
        detections=draw(st.none() | _detections(*size)),
        masks=draw(st.none() | _masks(*size)),
        baseline=draw(st.none() | _records(*size)),
        seen_in_training=draw(st.none() | _seen(len(images))),
        contents=draw(st.none() | _contents(len(images))),
        slice_columns=draw(_slice_columns(len(images))),
        pos_label=draw(st.sampled_from(("", *labels))),
        reported=draw(_REPORTED),
        files=tuple(draw(st.lists(_FILE, max_size=2))),
        summary=draw(st.binary(max_size=20)),
        warnings=tuple(draw(st.lists(_TEXT, max_size=2))),
    )


def _plain(value):
    """A value without arrays, so that two of them compare; NaN equals NaN."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if isinstance(value, dict):
        return {name: _plain(x) for name, x in value.items()}
    return "NaN" if isinstance(value, float) and np.isnan(value) else value


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Three images: two labels, one label without a record, and nothing at all."""
    project = Project(provider=Provider.REKOGNITION, arn="arn:p", name="pets")
    return Evaluation(
        version=Version(project=project, arn="arn:v", name="v1", training_start_ms=5),
        task=Task.MULTILABEL,
        labels=("cat", "dog 🌹"),
        images=("s3://b/1.jpg", "s3://b/ü.jpg", "s3://b/3.jpg"),
        truth=LabelSets(offsets=np.array([0, 2, 3, 3]), label_idx=np.array([0, 1, 1])),
        records=Records(
            offsets=np.array([0, 2, 2, 2]),
            label_idx=np.array([0, 1]),
            confidence=np.array([0.1, 1 / 3]),
            outcome=np.array([Outcome.FN, Outcome.TP], dtype=np.uint8),
        ),
        thresholds=np.array([0.25, np.nan]),
        reported=Reported(aggregate={"f1": 0.1}, confusion=(("cat", "dog 🌹", 0.5),)),
        files=(SourceFile(role="manifest", uri="s3://b/m", size=7, sha256="ab"),),
        summary=b'{"x": \xff}',
        warnings=("one", "two"),
    )


@given(evaluation=evaluations())
@settings(max_examples=50, deadline=None)  # the first write starts Arrow's threads
def test_what_is_written_is_read(evaluation):
    """Every field of an evaluation comes back as it was."""
    assert _plain(load_stored(dump_evaluation(evaluation))) == _plain(evaluation)


def test_types_of_columns_come_back(evaluation):
    """Codes are integers, confidences doubles, as in an evaluation that was parsed."""
    loaded = load_stored(dump_evaluation(evaluation))
    assert loaded.truth.label_idx.dtype == np.int32
    assert loaded.records.offsets.dtype == np.int64
    assert loaded.records.confidence.dtype == np.float64
    assert loaded.records.outcome.dtype == np.uint8


def test_equal_evaluations_give_equal_bytes(evaluation):
    """Nothing but the evaluation goes into the file."""
    assert dump_evaluation(evaluation) == dump_evaluation(replace(evaluation))


def test_columns_as_documented(evaluation):
    """Any Parquet reader finds a row for each image, in columns as they are documented."""
    table = parquet.read_table(io.BytesIO(dump_evaluation(evaluation)))
    assert table.to_pylist() == [
        {
            "image": "s3://b/1.jpg",
            "truth": [0, 1],
            "label": [0, 1],
            "confidence": [0.1, 1 / 3],
            "outcome": [3, 1],
        },
        {"image": "s3://b/ü.jpg", "truth": [1], "label": [], "confidence": [], "outcome": []},
        {"image": "s3://b/3.jpg", "truth": [], "label": [], "confidence": [], "outcome": []},
    ]
    types = {
        field.name: str(field.type.value_type) for field in table.schema if field.name[0] > "i"
    }
    assert types == {"label": "int32", "truth": "int32", "outcome": "uint8"}


def test_header_as_documented(evaluation):
    """What is not per image stands as JSON in the schema's metadata."""
    schema = parquet.read_schema(io.BytesIO(dump_evaluation(evaluation)))
    header = json.loads(schema.metadata[b"mlrek"])
    assert header["schema_version"] == 2
    assert header["task"] == "multilabel"
    assert header["labels"] == ["cat", "dog 🌹"]
    assert header["thresholds"] == [0.25, None]
    assert header["version"]["project"]["name"] == "pets"
    assert header["reported"]["aggregate"] == {"f1": 0.1}
    assert header["files"] == [{"role": "manifest", "uri": "s3://b/m", "size": 7, "sha256": "ab"}]
    assert header["warnings"] == ["one", "two"]
    assert header["rows"] == 3
    assert header["columns"] == ["image", "truth", "label", "confidence", "outcome"]


def test_numbers_alone(evaluation):
    """An evaluation without images, of whatever task, is stored too."""
    empty = LabelSets(offsets=np.zeros(1, np.int64), label_idx=np.zeros(0, np.int32))
    records = Records(
        offsets=empty.offsets,
        label_idx=empty.label_idx,
        confidence=np.zeros(0),
        outcome=np.zeros(0, np.uint8),
    )
    for task in Task:
        bare = replace(evaluation, task=task, images=(), truth=empty, records=records)
        assert _plain(load_stored(dump_evaluation(bare))) == _plain(bare)


def _with_everything(evaluation):
    boxes = Boxes(
        offsets=np.array([0, 0, 1, 1]),
        label_idx=np.array([1], dtype=np.int32),
        boxes_xyxy=np.array([[1.0, 2.0, 3.5, 4.0]]),
        confidence=np.array([0.5]),
        outcome=np.array([Outcome.FP], dtype=np.uint8),
    )
    true = replace(boxes, confidence=np.full(1, np.nan), outcome=np.zeros(1, np.uint8))
    sizes = np.array([[np.nan, np.nan], [640, 480], [1, 1]])
    masks = MaskCounts(
        image_idx=np.array([2, 1]),
        label_idx=np.array([0, 1], dtype=np.int32),
        tp=np.array([7, 1]),
        fp=np.array([0, 2]),
        fn=np.array([0, 3]),
        readable=np.array([False, True, True]),
    )
    detections = Detections(truth=true, records=boxes, image_sizes=sizes)
    return replace(
        evaluation,
        detections=detections,
        masks=masks,
        baseline=replace(evaluation.records),
        seen_in_training=np.array([False, True, False]),
        contents=Contents(
            sizes=np.array([5, 7, -1]),
            etags=("", "5d41402abc4b2a76b9719d911017c592", ""),
            is_md5=np.array([False, True, False]),
            sha256=("ab", "", ""),
            modified_ms=np.array([-1, 1690474772000, -1]),
        ),
    )


def test_further_columns_as_documented(evaluation):
    """Boxes, masks, the base model's records and the training stand in the row of their image."""
    data = dump_evaluation(_with_everything(evaluation))
    first, second, third = parquet.read_table(io.BytesIO(data)).to_pylist()
    expected = {
        "box_label": [1],
        "box_left": [1],
        "box_top": [2],
        "box_right": [3.5],
        "box_bottom": [4],
        "box_confidence": [0.5],
        "box_outcome": [2],
        "true_box_label": [1],
        "true_box_left": [1],
        "true_box_top": [2],
        "true_box_right": [3.5],
        "true_box_bottom": [4],
        "width": 640,
        "height": 480,
        "mask_readable": True,
        "mask_label": [1],
        "mask_tp": [1],
        "mask_fp": [2],
        "mask_fn": [3],
        "content_size": 7,
        "content_etag": "5d41402abc4b2a76b9719d911017c592",
        "content_etag_is_md5": True,
        "content_sha256": "",
        "content_modified_ms": 1690474772000,
    }
    assert {name: second[name] for name in expected} == expected
    assert (third["mask_label"], third["mask_tp"], third["box_label"]) == ([0], [7], [])
    assert (first["base_label"], first["base_confidence"]) == ([0, 1], [0.1, 1 / 3])
    assert first["base_outcome"] == [3, 1]
    assert [row["seen_in_training"] for row in (first, second, third)] == [False, True, False]
    assert [row["content_size"] for row in (first, second, third)] == [5, 7, None]
    assert [row["content_modified_ms"] for row in (first, third)] == [None, None]


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("box_left", [[], [1.0, 2.0], []], "the columns of the boxes differ in length"),
        ("true_box_label", [[], [], []], "the columns of the true boxes differ in length"),
        ("box_right", [[], [float("inf")], []], "a coordinate is not finite"),
        ("box_label", [[], [9], []], "a label code has no label"),
        ("base_label", [[0, 9], [], []], "a label code has no label"),
        ("mask_tp", [[], [], []], "the columns of the masks differ in length"),
        ("mask_readable", [True, None, True], "column mask_readable has gaps"),
        ("seen_in_training", [True, None, True], "column seen_in_training has gaps"),
        ("seen_in_training", ["no", "yes", "no"], "can be read"),
        ("content_sha256", ["ab", None, ""], "column content_sha256 has gaps"),
    ],
)
def test_damaged_further_column_is_refused(evaluation, name, column, reason):
    """The same of what only some evaluations have."""
    table = parquet.read_table(io.BytesIO(dump_evaluation(_with_everything(evaluation))))
    sink = io.BytesIO()
    index = table.schema.get_field_index(name)
    parquet.write_table(table.set_column(index, name, pa.array(column)), sink)
    with pytest.raises(EvaluationError, match=reason):
        load_stored(sink.getvalue())


def _rewrite(data, **header):
    table = parquet.read_table(io.BytesIO(data))
    told = json.loads(table.schema.metadata[b"mlrek"]) | header
    sink = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({b"mlrek": json.dumps(told)}), sink)
    return sink.getvalue()


def test_later_schema_says_to_upgrade(evaluation):
    """A file of a later version is not misread, even when its header has another shape."""
    data = _rewrite(dump_evaluation(evaluation), schema_version=3, labels={"a": 1})
    with pytest.raises(EvaluationError, match=r"has schema 3, .*upgrade it"):
        load_stored(data)


def test_unknown_keys_of_the_header_are_ignored(evaluation):
    """A later version may add what this one need not know."""
    data = _rewrite(dump_evaluation(evaluation), more=[1])
    assert _plain(load_stored(data)) == _plain(evaluation)


def _table(**columns):
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"x" * 100, _table(image=["a"]), b"PAR1" + b"\0" * 50 + b"PAR1"]
)
def test_another_file_is_refused(data):
    """What mlrek did not write is no evaluation."""
    with pytest.raises(EvaluationError, match=r"this is no evaluation\.parquet that can be read"):
        load_stored(data)


def _has_lost(evaluation, names):
    table = parquet.read_table(io.BytesIO(dump_evaluation(evaluation)))
    sink = io.BytesIO()
    parquet.write_table(table.drop_columns(names), sink)
    return sink.getvalue()


def test_any_missing_column_is_refused(evaluation):
    """A file that lost a column is damaged, whichever it is: also the only one of its kind."""
    everything = replace(
        _with_everything(evaluation),
        slice_columns=(SliceColumn(name="site", numbers=np.arange(3.0)),),
    )
    names = parquet.read_schema(io.BytesIO(dump_evaluation(everything))).names
    assert {"image", "base_outcome", "seen_in_training", "slice:site"} <= {*names}
    for name in names:
        with pytest.raises(EvaluationError, match=f"can be read: columns were lost: '{name}'"):
            load_stored(_has_lost(everything, [name]))


def test_a_missing_group_of_columns_is_refused(evaluation):
    """Without the columns of the model adapted from, that model would seem never to have been."""
    stored = replace(evaluation, baseline=evaluation.records)
    names = ["base_label", "base_confidence", "base_outcome"]
    with pytest.raises(EvaluationError, match="lost: 'base_confidence', 'base_label', 'base_outc"):
        load_stored(_has_lost(stored, names))


@pytest.mark.parametrize("rows", [slice(0), slice(2), [0, 1, 2, 2]])
def test_missing_and_added_rows_are_refused(evaluation, rows):
    """So is a file with more or fewer images than were written."""
    table = parquet.read_table(io.BytesIO(dump_evaluation(evaluation)))
    taken = table.take(np.arange(3)[rows])
    sink = io.BytesIO()
    parquet.write_table(taken, sink)
    with pytest.raises(EvaluationError, match=f"it has {len(taken)} rows, 3 were written"):
        load_stored(sink.getvalue())


@pytest.mark.parametrize(
    "name", ["image", "truth", "label", "confidence", "outcome", "base_label", "base_outcome"]
)
def test_missing_column_of_an_earlier_file_is_refused(evaluation, name):
    """Files that do not tell their columns are refused where one of a group is not there."""
    stored = _has_lost(replace(evaluation, baseline=evaluation.records), [name])
    with pytest.raises(EvaluationError, match=rf'can be read: .*"{name}"'):
        load_stored(_rewrite(stored, columns=[]))


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("truth", [[0, None], [1], []], "column truth has gaps"),
        ("truth", [None, [1], []], "column truth has gaps"),
        ("truth", [[0, 7], [1], []], "a label code has no label"),
        ("truth", [[1, 0], [1], []], "labels of an image are not sorted and distinct"),
        ("truth", [0, 1, 1], "can be read"),
        ("confidence", [[0.5], [], []], "the columns of the records differ in length"),
        ("confidence", [[0.5, 1.5], [], []], "a confidence is not between 0 and 1"),
        ("image", [1.5, 2.5, None], "an image has no place"),
    ],
)
def test_damaged_column_is_refused(evaluation, name, column, reason):
    """So is one whose columns are not what they were."""
    table = parquet.read_table(io.BytesIO(dump_evaluation(evaluation)))
    sink = io.BytesIO()
    index = table.schema.get_field_index(name)
    parquet.write_table(table.set_column(index, name, pa.array(column)), sink)
    with pytest.raises(EvaluationError, match=reason):
        load_stored(sink.getvalue())


@given(st.floats(0, 1, exclude_max=True))
def test_cut_file_is_refused(evaluation, share):
    """A download that broke off is an error of mlrek's, never another."""
    data = dump_evaluation(evaluation)
    with pytest.raises(MlrekError):
        load_stored(data[: int(share * len(data))])


def test_first_schema_is_read_forever(evaluation):
    """The file that schema 1 was introduced with reads as it was meant; it had no doubts."""
    folder = Path(__file__).parents[2] / "data" / "stored"
    loaded = load_stored((folder / "evaluation-schema-1.parquet").read_bytes())
    assert [doubt.kind for doubt in loaded.doubts] == [DoubtKind.DOUBTS_UNKNOWN]
    assert _plain(replace(loaded, doubts=())) == _plain(evaluation)


def test_contents_are_read_forever(evaluation):
    """Schema 2, as it was when contents of images came to it; masks are put in order of images."""
    folder = Path(__file__).parents[2] / "data" / "stored"
    loaded = load_stored((folder / "evaluation-schema-2-contents.parquet").read_bytes())
    expected = _with_everything(evaluation)
    assert _plain(replace(loaded, masks=None)) == _plain(replace(expected, masks=None))
    assert loaded.masks.tp.tolist() == [1, 7]


def test_doubts_are_kept(evaluation):
    """A doubt comes back as it was, with raw label names and its own effect."""
    doubts = (
        Doubt(kind=DoubtKind.LINES_SKIPPED, text="2 lines", count=2, of=9),
        Doubt(
            kind=DoubtKind.RECORDS_PARTIAL,
            text="a bound",
            touches=("label_ap/dog 🌹",),
            own_effect=Effect.STOPS,
        ),
    )
    stored = dump_evaluation(replace(evaluation, doubts=doubts))
    assert load_stored(stored).doubts == doubts


def test_a_summary_that_would_fill_the_memory_is_refused(evaluation):
    """A few kilobytes may stand for gigabytes."""
    bomb = base64.b64encode(zlib.compress(bytes(MAX_HEADER + 1))).decode()
    with pytest.raises(EvaluationError, match="summary is larger than 256 MiB"):
        load_stored(_rewrite(dump_evaluation(evaluation), summary=bomb))


def test_columns_that_would_fill_the_memory_are_refused(evaluation, monkeypatch):
    """The sizes that a file declares are read before its columns."""
    monkeypatch.setattr("mlrek.formats.stored.MAX_CONTENT", 100)
    with pytest.raises(EvaluationError, match="its columns would take more"):
        load_stored(dump_evaluation(evaluation))
