"""Tables of truth and predictions in CSV, Parquet and JSON Lines, as people keep them.

Long: a row for each label of an image, `image,label[,confidence]`, or for each box. Wide: a row for
each image, `image,truth,predicted` or a column of scores for each label, `score_<label>`. Columns
may have any order, and any of the names in `columns.COLUMN_NAMES`. Text may be packed (gzip), in
UTF-16, with a byte-order mark, and parted by `,`, `;`, tab or `|`.
"""

from mlrek.errors import ParseError
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.memory import release_memory
from mlrek.formats.predictions import Answers
from mlrek.formats.tables.columns import list_column_names
from mlrek.formats.tables.lists import read_label_map, read_thresholds
from mlrek.formats.truth import GroundTruth

__all__ = [
    "explain_no_table",
    "list_column_names",
    "read_label_map",
    "read_table_answers",
    "read_table_truth",
    "read_thresholds",
    "seems_own_table",
    "seems_table",
]


def seems_table(files: Files) -> bool:
    """Whether there is a table of truth or predictions, by its content."""
    from mlrek.formats.tables.batches import list_candidates, seems_one

    return any(seems_one(files, name) for name in list_candidates(files))


def seems_own_table(files: Files) -> bool:
    """Whether there is a `predictions.csv` of mlrek's."""
    from mlrek.formats.tables.own import find_own_table

    return find_own_table(files) is not None


def explain_no_table(files: Files) -> str:
    """Which columns a table lacks; '' where the content is no table at all."""
    from mlrek.formats.tables.batches import open_table
    from mlrek.formats.tables.rows import say_lacking

    try:
        header = open_table(files, ITSELF).header
    except ParseError:
        return ""
    return say_lacking(header) if len(header.names) > 1 else ""


def read_table_answers(files: Files) -> Answers:
    """What a table says that a model answered; with the truth, where the table has it too.

    Raises:
        ParseError: It is no table of predictions, or a row is wrong; the message names the row.
    """
    from mlrek.formats.tables.contents import read_answers
    from mlrek.formats.tables.own import find_own_table, read_own_answers

    own = find_own_table(files)
    answers = read_answers(files) if own is None else read_own_answers(files, own)
    release_memory()
    return answers


def read_table_truth(files: Files) -> GroundTruth:
    """What a table says is true of its images.

    Raises:
        ParseError: It is no table of truth, or a row is wrong; the message names the row.
    """
    from mlrek.formats.tables.contents import read_truth
    from mlrek.formats.tables.own import find_own_table, read_own_truth

    own = find_own_table(files)
    truth = read_truth(files) if own is None else read_own_truth(files, own)
    release_memory()
    return truth
