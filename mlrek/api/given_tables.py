"""Frames that name their images: the same tables as in files, CSV or Parquet."""

from io import BytesIO
from typing import Any

from mlrek.errors import EvaluationError, UsageError
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.predictions import Answers
from mlrek.formats.tables import read_table_answers, read_table_truth
from mlrek.formats.tables.columns import names_images
from mlrek.formats.truth import GroundTruth


def is_table(given: Any) -> bool:
    """Whether it is a frame with a column that names the image of each row."""
    return names_images([str(column) for column in getattr(given, "columns", ())])


def read_frames(y_true: Any, y_pred: Any) -> tuple[GroundTruth, Answers]:
    """Truth and answers of two frames, or of one that holds both; rows in any order.

    Raises:
        ParseError: A column is missing, or a value is not what it should be.
        EvaluationError: A frame holds what no table can.
        UsageError: Only one of the two names its images, or there are no predictions.
    """
    if y_pred is None:
        answers = read_table_answers(_write_frame("y_true", y_true))
        if answers.truth is None:
            raise UsageError("y_true: the table has no column of true labels, or y_pred is missing")
        return answers.truth, answers
    if not is_table(y_pred):
        raise UsageError(
            "y_true names its images in a column, y_pred does not: give both as such tables, or "
            "only the columns of labels, with the images as `images=`"
        )
    truth = read_table_truth(_write_frame("y_true", y_true))
    return truth, read_table_answers(_write_frame("y_pred", y_pred))


def _write_frame(name: str, frame: Any) -> Files:
    """A frame as a Parquet file in memory."""
    from pyarrow import ArrowException

    sink = BytesIO()
    try:
        frame.set_axis([str(column) for column in frame.columns], axis=1).to_parquet(
            sink, index=False
        )
    except (ArrowException, ValueError, TypeError) as exc:
        raise EvaluationError(f"{name}: is no table of numbers, names and lists ({exc})") from exc
    content = sink.getvalue()
    return Files(uri=name, names=(ITSELF,), read=lambda _: [content])
