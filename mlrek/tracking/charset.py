"""Texts for a database whose character set is too small for them (MySQL and MariaDB, error 1366).

`utf8mb3` holds no character past U+FFFF, `latin1` few at all. What only people read is escaped
there; what tells runs apart is not, since it would be another name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Final

from mlrek.tables.json_text import write_json
from mlrek.tracking.description import RunDescription
from mlrek.tracking.metric_points import MetricPoint

IDENTITY_TAGS: Final = frozenset({"project_arn", "version_arn", "source_version_arn"})
LABELS_PATH: Final = "labels.json"
REFUSED: Final = "Incorrect string value"


class Charset(IntEnum):
    """What a database is known to hold; a later one holds less."""

    ANY = 0
    BMP = 1  # nothing past U+FFFF
    LATIN = 2
    ASCII = 3

    @property
    def less(self) -> "Charset | None":
        """The next smaller one."""
        return None if self is Charset.ASCII else Charset(self + 1)


_LACKING: Final = {
    Charset.BMP: re.compile("[\U00010000-\U0010ffff]"),
    Charset.LATIN: re.compile(r"[^\x00-\xff]"),
    Charset.ASCII: re.compile(r"[^\x00-\x7f]"),
}


def is_refused_text(exc: BaseException) -> bool:
    """Whether a database refuses a text for a character that it cannot hold."""
    return REFUSED in str(exc) or (exc.__cause__ is not None and is_refused_text(exc.__cause__))


def fit_text(text: str, charset: Charset) -> str:
    r"""A text with what the database cannot hold escaped.

    >>> fit_text("a 🌹 in Köln", Charset.BMP), fit_text("Köln", Charset.ASCII)
    ('a \\U0001f339 in Köln', 'K\\xf6ln')
    """
    if charset is Charset.ANY:
        return text
    return _LACKING[charset].sub(
        lambda found: found[0].encode("ascii", "backslashreplace").decode(), text
    )


def fit_tags(tags: Mapping[str, str], charset: Charset) -> dict[str, str]:
    """Tags with what the database cannot hold escaped, but for those that tell runs apart."""
    return {
        key: value if key in IDENTITY_TAGS else fit_text(value, charset)
        for key, value in tags.items()
    }


def fit_key(key: str, charset: Charset) -> str:
    """A metric's key, its label escaped as labels are that MLflow itself would refuse.

    >>> fit_key("label_f1/猫", Charset.ASCII)
    'label_f1/_x732B_'
    """
    if charset is Charset.ANY:
        return key
    return _LACKING[charset].sub(lambda found: f"_x{ord(found[0]):02X}_", key)


def fit_description(described: RunDescription, charset: Charset) -> RunDescription:
    """A run with what the database cannot hold escaped; its files keep every character."""
    if charset is Charset.ANY:
        return described
    dataset = described.dataset
    if dataset is not None:
        dataset = replace(dataset, name=fit_text(dataset.name, charset))
        dataset = replace(dataset, uri=fit_text(dataset.uri, charset))
    return replace(
        described,
        run_name=fit_text(described.run_name, charset),
        tags=fit_tags(described.tags, charset),
        metrics=tuple(
            MetricPoint(key=fit_key(point.key, charset), value=point.value, step=point.step)
            for point in described.metrics
        ),
        files=_fit_labels(described.files, charset),
        dataset=dataset,
    )


def _fit_labels(files: Mapping[str, bytes], charset: Charset) -> Mapping[str, bytes]:
    """The files with the true keys in the map of labels."""
    if LABELS_PATH not in files:
        return files
    labels = json.loads(files[LABELS_PATH])
    for one in labels.values():
        one["metric_key"] = fit_key(one["metric_key"], charset)
    return {**files, LABELS_PATH: write_json(labels)}
