"""Tables as files, and what is read of them."""

import io
import json

import pyarrow as pa
from pyarrow import parquet

from mlrek.formats.files import Files
from mlrek.formats.tables import read_table_answers, read_table_truth


def make_files(data, uri="table"):
    """The files of one table, or of a folder: content by name."""
    contents = data if isinstance(data, dict) else {"": data}
    contents = {
        name: text.encode() if isinstance(text, str) else text for name, text in contents.items()
    }
    return Files(uri=uri, names=tuple(sorted(contents)), read=lambda name: [contents[name]])


def write_parquet(columns):
    """Columns as a Parquet file."""
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def write_rows(form, header, rows, delimiter=","):
    """The same rows of texts and numbers in one of the forms."""
    if form == "csv":
        lines = [header, *rows]
        return "".join(delimiter.join(map(_cell, line)) + "\n" for line in lines)
    if form == "parquet":
        return write_parquet(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)))
    return "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows)


def _cell(value):
    return repr(value) if isinstance(value, float) else str(value)


def list_answers(answers):
    """What is said of each image: confidence by label."""
    ends = answers.offsets.tolist()
    rows = [
        (answers.labels[code], confidence)
        for code, confidence in zip(
            answers.label_idx.tolist(), answers.confidence.tolist(), strict=True
        )
    ]
    return {image: dict(rows[ends[i] : ends[i + 1]]) for i, image in enumerate(answers.images)}


def list_truth(truth):
    """The true labels of each image."""
    ends, codes = truth.truth.offsets.tolist(), truth.truth.label_idx.tolist()
    return {
        image: [truth.labels[code] for code in codes[ends[i] : ends[i + 1]]]
        for i, image in enumerate(truth.images)
    }


def answer(data, **more):
    """What a table says that a model answered."""
    return read_table_answers(make_files(data, **more))


def tell_truth(data, **more):
    """What a table says is true."""
    return read_table_truth(make_files(data, **more))
