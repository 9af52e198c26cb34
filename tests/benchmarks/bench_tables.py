"""How fast is a long table of predictions read and measured, and how much memory does that take?

Makes a table of 10,000,000 rows (a million images, ten labels, a confidence each) in CSV and
Parquet, and a table of truth. One side reads both and joins them with `mlrek.formats` and computes
all its numbers, with doubts, but without curves and intervals. The other reads them with pandas and
computes five of these with scikit-learn; a third side computes there all that scikit-learn has, for
the version and for each label. Each runs in a process of its own. Ends with 1 where mlrek is not 10
times as fast as the five numbers, or takes more than a quarter of the memory.

    python tests/benchmarks/bench_tables.py --images 1000000
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet
from rows import print_row

LABELS = [f"label {i}" for i in range(10)]
NAMES = ("accuracy", "f1_macro", "log_loss", "roc_auc_macro", "average_precision_macro")
PER_LABEL = ("precision", "recall", "f1", "support", "roc_auc", "ap")
AT_ONCE = 100_000
CHUNK = 1 << 20
COSTS = {"read_seconds", "read_mib", "seconds", "mib"}
FASTER, SMALLER = 10.0, 4.0


def main() -> int:
    """Make the tables and compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory(prefix="bench-tables-") as scratch:
        folder = Path(scratch)
        n_images = parser.parse_args().images
        write_tables(folder, n_images)
        return max([compare(folder, form, n_images) for form in ("csv", "parquet")])


def write_tables(folder: Path, n_images: int) -> None:
    """The predictions in both forms, and the truth."""
    rng = np.random.default_rng(0)
    schema = pa.schema(
        [("image", pa.string()), ("label", pa.string()), ("confidence", pa.float64())]
    )
    truth = []
    with (
        csv.CSVWriter(folder / "answers.csv", schema) as text,
        parquet.ParquetWriter(folder / "answers.parquet", schema) as columns,
    ):
        for start in range(0, n_images, AT_ONCE):
            n = min(AT_ONCE, n_images - start)
            images = [f"s3://bucket/test/image-{i:07d}.jpg" for i in range(start, start + n)]
            y_true = rng.integers(len(LABELS), size=n)
            scores = rng.dirichlet(np.ones(len(LABELS)), n) + 0.3 * np.eye(len(LABELS))[y_true]
            table = pa.table(
                {
                    "image": np.repeat(images, len(LABELS)),
                    "label": np.tile(LABELS, n),
                    "confidence": (scores / scores.sum(axis=1, keepdims=True)).ravel(),
                },
                schema=schema,
            )
            text.write_table(table)
            columns.write_table(table)
            truth.append(pa.table({"image": images, "label": np.array(LABELS)[y_true]}))
    csv.write_csv(pa.concat_tables(truth), folder / "truth.csv")


def compare(folder: Path, form: str, n_images: int) -> bool:
    """Both sides once; whether a target is missed."""
    own, other, same = (measure(side, folder, form) for side in ("mlrek", "pandas", "same"))
    apart = max(abs(own[name] - other[name]) for name in NAMES)
    faster, smaller = other["seconds"] / own["seconds"], other["mib"] / own["mib"]
    print_row(
        f"{len(LABELS) * n_images:,} rows of predictions in {form}, read alone, against pandas",
        "",
        f"{other['read_seconds'] / own['read_seconds']:.1f} × ({own['read_seconds']:.1f} s, "
        f"{other['read_seconds']:.1f} s of processor; {own['read_mib']:.0f} MiB, "
        f"{other['read_mib']:.0f} MiB above imports)",
    )
    what = f"{len(LABELS) * n_images:,} rows of predictions in {form}"
    print_row(
        f"{what}: numbers against pandas and scikit-learn",
        f"{FASTER:g} ×",
        f"{faster:.1f} × ({own['seconds']:.1f} s, {other['seconds']:.1f} s of processor, "
        f"{apart:.0e} apart)",
        met=faster >= FASTER,
    )
    shared = same.keys() - COSTS
    print_row(
        f"{what}: numbers against pandas and the same {len(shared)} of scikit-learn",
        "",
        f"{same['seconds'] / own['seconds']:.1f} × ({same['seconds']:.1f} s of processor, "
        f"{max(abs(own[name] - same[name]) for name in shared):.0e} apart)",
    )
    print_row(
        f"{what}: peak memory above imports",
        f"1/{SMALLER:g}",
        f"1/{smaller:.1f} ({own['mib']:.0f} MiB, {other['mib']:.0f} MiB)",
        met=smaller >= SMALLER,
    )
    return faster < FASTER or smaller < SMALLER


def measure(side: str, folder: Path, form: str) -> dict[str, float]:
    """What one side costs in a fresh process, and its numbers."""
    command = [sys.executable, __file__, "--measure", side, str(folder), form]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def run(side: str, folder: Path, form: str) -> None:
    """In the fresh process: print cost and numbers."""
    if side == "mlrek":
        compute = prepare_mlrek(folder, form)
    else:
        compute = prepare_pandas(folder, form, compute_five if side == "pandas" else compute_same)
    before, started = peak_mib(), process_time()
    read: dict[str, float] = {}

    def note_read() -> None:
        read["read_seconds"] = process_time() - started
        read["read_mib"] = peak_mib() - before

    numbers = compute(note_read)
    cost = read | {"seconds": process_time() - started, "mib": peak_mib() - before}
    print(json.dumps(cost | numbers))


def peak_mib() -> float:
    """Peak memory of this process so far."""
    status = Path("/proc/self/status").read_text()  # getrusage has the parent's in it
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def prepare_mlrek(folder: Path, form: str):
    """Read, join and compute as a run does."""
    from scipy import special

    from mlrek.evaluation import Project, Provider, Version
    from mlrek.formats.files import ITSELF, Files
    from mlrek.formats.memory import release_memory
    from mlrek.formats.predictions import JoinOptions
    from mlrek.formats.predictions.join import join_answers
    from mlrek.formats.tables import contents, own, read_table_answers, read_table_truth
    from mlrek.metrics import PredictionRule
    from mlrek.metrics.compute import compute_numbers

    project = Project(provider=Provider.CUSTOM, arn="mlrek:project/p", name="p")
    version = Version(project=project, arn="mlrek:project/p/custom/v", name="v")

    def open_file(name: str) -> Files:
        return Files(uri=name, names=(ITSELF,), read=lambda _: read_chunks(folder / name))

    assert all((contents, own, special))  # their imports are paid before, as on the other side
    pa.array([])  # which imports pandas, as on the other side

    def compute(note_read: Callable[[], None]) -> dict[str, float]:
        answers = read_table_answers(open_file(f"answers.{form}"))
        note_read()
        truth = read_table_truth(open_file("truth.csv"))
        evaluation = join_answers(version, truth, answers, JoinOptions())
        del answers, truth
        release_memory()
        numbers = compute_numbers(evaluation, PredictionRule.TOP1)
        of_labels = {
            f"{name}/{label}": float(getattr(numbers.per_label, name)[i])
            for name in PER_LABEL
            for i, label in enumerate(LABELS)
        }
        return {name: score.value for name, score in numbers.aggregate.items()} | of_labels

    return compute


def prepare_pandas(folder: Path, form: str, score: Callable[..., dict[str, float]]):
    """The usual way in a notebook."""
    import pandas as pd
    from sklearn import metrics

    assert metrics  # its import is paid before

    def compute(note_read: Callable[[], None]) -> dict[str, float]:
        read = pd.read_csv if form == "csv" else pd.read_parquet
        long = read(folder / f"answers.{form}")
        wide = long.pivot(index="image", columns="label", values="confidence")  # noqa: PD010
        note_read()
        truth = pd.read_csv(folder / "truth.csv").set_index("image")["label"]
        y_true = truth[wide.index].to_numpy()
        scores, labels = wide.to_numpy(), wide.columns.to_numpy()
        return score(y_true, labels[scores.argmax(axis=1)], scores, labels)

    return compute


def compute_five(y_true, y_pred, scores, labels) -> dict[str, float]:
    """What many look at first."""
    from sklearn import metrics

    one_hot = y_true[:, None] == labels
    return {
        "accuracy": metrics.accuracy_score(y_true, y_pred),
        "f1_macro": metrics.f1_score(y_true, y_pred, average="macro"),
        "log_loss": metrics.log_loss(y_true, scores, labels=labels),
        "roc_auc_macro": metrics.roc_auc_score(one_hot, scores, average="macro"),
        "average_precision_macro": metrics.average_precision_score(
            one_hot, scores, average="macro"
        ),
    }


def compute_same(y_true, y_pred, scores, labels) -> dict[str, float]:
    """All of mlrek's numbers that scikit-learn has: of the version, and of each label."""
    from sklearn import metrics

    one_hot = y_true[:, None] == labels
    averaged = {
        f"{name}_{average}": score
        for average in ("micro", "macro", "weighted")
        for name, score in zip(
            ("precision", "recall", "f1", "jaccard"),
            (
                *metrics.precision_recall_fscore_support(y_true, y_pred, average=average)[:3],
                metrics.jaccard_score(y_true, y_pred, average=average),
            ),
            strict=True,
        )
    }
    each = dict(
        zip(
            PER_LABEL,
            (
                *metrics.precision_recall_fscore_support(y_true, y_pred, labels=labels),
                metrics.roc_auc_score(one_hot, scores, average=None),
                metrics.average_precision_score(one_hot, scores, average=None),
            ),
            strict=True,
        )
    )
    return {
        "accuracy": metrics.accuracy_score(y_true, y_pred),
        "balanced_accuracy": metrics.balanced_accuracy_score(y_true, y_pred),
        "hamming_loss": metrics.hamming_loss(y_true, y_pred),
        "mcc": metrics.matthews_corrcoef(y_true, y_pred),
        "cohen_kappa": metrics.cohen_kappa_score(y_true, y_pred),
        "log_loss": metrics.log_loss(y_true, scores, labels=labels),
        "roc_auc_macro": each["roc_auc"].mean(),
        "average_precision_macro": each["ap"].mean(),
        **averaged,
        **{
            f"{name}/{label}": float(value)
            for name, values in each.items()
            for label, value in zip(labels, values, strict=True)
        },
    }


def read_chunks(file: Path) -> Iterator[bytes]:
    """The file as a source hands it over."""
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        run(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main())
