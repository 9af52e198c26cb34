"""docs/parquet.md: its snippet runs as it stands, and it names each column and key."""

import json
import re
from pathlib import Path

import pytest
from pyarrow import parquet
from sklearn.metrics import accuracy_score

from mlrek.formats.stored import GROUPS, dump_evaluation
from mlrek.promotion import load_version
from mlrek.sources import AwsOptions

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "parquet.md").read_text(encoding="utf-8")
VERSION = "v2-linear"
PREFIX = "rekognition-custom-labels-"


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """The `evaluation.parquet` of an example, in the working folder."""
    referred = load_version(f"{EXAMPLES / 'digits'}#{VERSION}", AwsOptions(), pytest.fail)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evaluation.parquet"
    path.write_bytes(dump_evaluation(referred.evaluation))
    return path


def read_truth_and_top() -> tuple[list[str], list[str]]:
    """True and most confident label of each line of the manifest, parsed by nothing of mlrek."""
    (path,) = (EXAMPLES / "digits" / "versions" / VERSION).glob("TestingGroundTruth-*.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    true = [line[f"{PREFIX}training-0-metadata"]["class-name"] for line in lines]
    found = [
        [v for k, v in line.items() if k.startswith(f"{PREFIX}evaluation-") and isinstance(v, dict)]
        for line in lines
    ]
    return true, [max(rows, key=lambda row: row["confidence"])["class-name"] for rows in found]


@pytest.mark.usefixtures("stored")
def test_the_snippet_computes_the_accuracy():
    """The page's pandas lines, as they stand, give scikit-learn's accuracy of the manifest."""
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}

    exec(snippet, names)  # noqa: S102 - the page's own lines

    assert names["accuracy"] == accuracy_score(*read_truth_and_top())


def test_each_column_is_on_the_page():
    """Every column that any evaluation may have is explained."""
    columns = {name for group in GROUPS for name in group.schema.names}

    assert {name for name in columns if f"`{name}`" not in PAGE} == set()


def test_each_key_of_the_metadata_is_on_the_page(stored):
    """So is every key of the metadata, and the schema's version is the present one."""
    metadata = json.loads(parquet.read_schema(stored).metadata[b"mlrek"])

    assert {name for name in metadata if f"`{name}`" not in PAGE} == set()
    assert f"| `schema_version` | {metadata['schema_version']};" in PAGE
