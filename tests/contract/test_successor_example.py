"""The digits' successor: rebuilt with the same values, and right as often as its README says."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_digits

FOLDER = Path(__file__).parents[2] / "examples" / "successor"
MANIFEST = "versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"


def test_the_table_is_rebuilt_with_the_same_values(tmp_path):
    """`make.py` writes the table again, to the last digit that it keeps."""
    subprocess.run([sys.executable, FOLDER / "make.py", tmp_path], check=True)

    rebuilt = pd.read_parquet(tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(
        rebuilt, pd.read_parquet(FOLDER / "predictions.parquet"), rtol=0, atol=1.1e-5
    )


def test_it_answers_the_test_set_of_its_predecessor():
    """Each image of v2's test set once; 98.9 % have the highest score at the true label."""
    table = pd.read_parquet(FOLDER / "predictions.parquet").set_index("image")
    lines = (FOLDER.parent / "digits" / MANIFEST).read_text().splitlines()
    images = [json.loads(line)["source-ref"] for line in lines]
    digits = load_digits().target
    labels = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    truth = [labels[digits[int(Path(image).stem)]] for image in images]

    assert list(table.index) == images
    predicted = table.idxmax(axis=1).str.removeprefix("score_")
    assert round((predicted == truth).mean(), 3) == 0.989
