"""Predictions as MLflow's table, with small pictures where there are any."""

from collections.abc import Mapping
from io import BytesIO
from typing import Final

from mlrek.evaluation import Evaluation
from mlrek.metrics import Predictions
from mlrek.render import Json, write_json
from mlrek.render.report_images import Thumbnail
from mlrek.render.tables import describe_predictions
from mlrek.text import escape_unencodable

TABLE_PATH: Final = "predictions.json"
MAX_PICTURES: Final = 200
"""Rows that have a picture."""
_FOLDER: Final = "table_images/predictions"  # where `mlflow.log_table` puts them
_NONE: Final = f"{_FOLDER}/none.webp"
_QUALITY: Final = 80
_SIDE, _GREY, _DASH = 48, (222, 226, 231), (150, 158, 168)


def describe_table(
    evaluation: Evaluation, predictions: Predictions, thumbnails: Mapping[int, Thumbnail]
) -> dict[str, bytes]:
    """The table (`orient="split"`) and its pictures, by artifact path.

    The pictures are the last column, so that MLflow's view still groups by image and compares what
    is predicted. MLflow takes a column for pictures by its first row and complains of each row
    without one: there all other rows name one grey picture.
    """
    columns: Mapping[str, list[str] | list[float | None]] = describe_predictions(
        evaluation, predictions
    )
    names = list(columns)
    rows: list[list[Json]] = [list(row) for row in zip(*columns.values(), strict=True)]
    files = _list_pictures(evaluation, [str(row[0]) for row in rows], thumbnails)
    if files:
        names.append("picture")
        for i, row in enumerate(rows):
            path = _name_picture(i)
            row.append(_refer(path if path in files else _NONE))
        files[_NONE] = _draw_none()
    table = write_json({"columns": list(names), "data": [list(row) for row in rows]})
    return {TABLE_PATH: table, **files}


def _list_pictures(
    evaluation: Evaluation, images: list[str], thumbnails: Mapping[int, Thumbnail]
) -> dict[str, bytes]:
    """The pictures of the first rows that have one, by path; of images that are `images`."""
    known = {escape_unencodable(evaluation.images[i]): one for i, one in thumbnails.items()}
    with_picture = [i for i, image in enumerate(images) if image in known][:MAX_PICTURES]
    return {_name_picture(i): _leave_room_below(known[images[i]].content) for i in with_picture}


def _leave_room_below(content: bytes) -> bytes:
    """The picture in the upper half of one twice as high, whose lower half is transparent.

    MLflow's view centres a picture in a square as wide as its column, and cuts off the lower half.
    """
    from PIL import Image

    with Image.open(BytesIO(content)) as small:
        canvas = Image.new("RGBA", (small.width, 2 * small.height))
        canvas.paste(small.convert("RGB"), (0, 0))
    buffer = BytesIO()
    canvas.save(buffer, "webp", quality=_QUALITY, method=2)
    return buffer.getvalue()


def _name_picture(row: int) -> str:
    return f"{_FOLDER}/{row:04}.webp"


def _refer(path: str) -> Json:
    """A picture as a cell of a table names it; the small file serves as the whole one too."""
    return {"type": "image", "filepath": path, "compressed_filepath": path}


def _draw_none() -> bytes:
    """A grey square with a dash."""
    from PIL import Image

    picture = Image.new("RGB", (_SIDE, _SIDE), _GREY)
    picture.paste(_DASH, (_SIDE // 3, _SIDE // 2 - 2, 2 * _SIDE // 3, _SIDE // 2 + 2))
    buffer = BytesIO()
    picture.save(buffer, "webp", lossless=True)
    return _leave_room_below(buffer.getvalue())
