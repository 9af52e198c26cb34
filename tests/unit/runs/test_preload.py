"""What the process imports that workers are forked from."""

import json
import subprocess
import sys
from typing import Any

import pytest

_TOLD = """if True:
    import gc, json, sys
    def count():
        return sum(generation["collections"] for generation in gc.get_stats())
    before = count()
    import mlrek.runs.preload
    collected = count() - before
    import pyarrow
    array = pyarrow.array(["a", None, "b"])
    print(json.dumps({
        "collected": collected,
        "frozen": gc.get_freeze_count(),
        "collects": gc.isenabled(),
        "modules": [*sys.modules],
        "nulls": array.null_count,
    }))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What such a process says of itself, after it has made an array of pyarrow's."""
    done = subprocess.run([sys.executable, "-c", _TOLD], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_no_garbage_is_looked_for_while_it_imports(told: dict[str, Any]) -> None:
    """What is imported stays: it is not gone through, then or later, but what comes after is."""
    assert told["collected"] < 5  # until it says so; else some hundred
    assert told["frozen"] > 100_000
    assert told["collects"]


@pytest.mark.parametrize("name", ["pandas", "botocore", "mlflow", "matplotlib.figure"])
def test_it_lacks_what_no_worker_needs(told: dict[str, Any], name: str) -> None:
    """Workers read files and draw on sheets; pyarrow makes its arrays without pandas."""
    assert name not in told["modules"]
    assert told["nulls"] == 1


@pytest.mark.parametrize(
    "name", ["mlrek.runs.content", "mlrek.figures.confusion", "matplotlib", "scipy.special"]
)
def test_it_has_what_each_worker_needs(told: dict[str, Any], name: str) -> None:
    """It is imported once, not in each process."""
    assert name in told["modules"]
