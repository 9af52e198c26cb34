"""Rebuild this folder: `python examples/successor/make.py [FOLDER]`.

Trains a support vector machine of scikit-learn on the handwritten digits that are no test images of
examples/digits, and writes what it says of that folder's test set as a wide table in Parquet. It
needs numpy, pyarrow and scikit-learn, not mlrek.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from sklearn.datasets import load_digits
from sklearn.svm import SVC

DIGITS = Path(__file__).parents[1] / "digits"
MANIFEST = DIGITS / "versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"
LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DECIMALS = 5
SHARPNESS = 3.0  # of the softmax over the machine's decision values, which are one label apart


def main(arguments: list[str]) -> None:
    """Write the table to the folder named by the first argument, or to that of this script."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    images, scores = predict()
    columns = {"image": pa.array(images)}
    columns |= {f"score_{label}": scores[:, i] for i, label in enumerate(LABELS)}
    parquet.write_table(pa.table(columns), folder / "predictions.parquet", compression="zstd")


def predict() -> tuple[list[str], NDArray[np.float64]]:
    """The test images of the digits' second version, and the scores of each label, (n, 10)."""
    pixels, y_true = load_digits(return_X_y=True)
    is_tested = np.zeros(len(pixels), dtype=bool)
    is_tested[[number_of(path.name) for path in (DIGITS / "images").iterdir()]] = True
    model = SVC(gamma=0.001, C=10, decision_function_shape="ovr")
    model.fit(pixels[~is_tested], y_true[~is_tested])
    images = [json.loads(line)["source-ref"] for line in MANIFEST.read_text().splitlines()]
    decided = SHARPNESS * model.decision_function(pixels[[number_of(image) for image in images]])
    odds = np.exp(decided - decided.max(axis=1, keepdims=True))
    return images, np.round(odds / odds.sum(axis=1, keepdims=True), DECIMALS)


def number_of(image: str) -> int:
    """The place of an image in scikit-learn's digits: `s3://digits/0007.png` is number 7."""
    return int(Path(image).stem)


if __name__ == "__main__":
    main(sys.argv[1:])
