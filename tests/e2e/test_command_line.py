"""What a person meets at the command line: help, typing mistakes, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_OTHERS = {
    *("mlrek.tracking.store", "mlrek.tracking.connection", "mlrek.registry.door"),
    *("mlrek.render.report", "mlrek.render.comparison_page", "mlrek.formats.google.collection"),
    *("mlrek.formats.stored", "mlrek.promotion.keeping", "mlrek.runs", "mlrek.policy"),
    *("mlrek.render.document", "mlrek.metrics.thresholds", "mlrek.sources.contents"),
    *("mlrek.sources.images", "mlrek.figures", "mlrek.formats.truth", "mlrek.tracking.first_use"),
}
"""What commands on files of Rekognition do without."""
OF_OTHER_TASKS = {
    *("mlrek.comparison.measured_areas", "mlrek.metrics.detection", "mlrek.metrics.segmentation"),
    *("mlrek.metrics.slices", "mlrek.render.slices", "mlrek.render.tables"),
}
"""What `show` and `compare` of a classification do without, where there are no slices."""
OF_OTHER_PLACES = {
    *("mlrek.sources.s3", "mlrek.sources.any_storage", "mlrek.sources.rekognition_now"),
    *("mlrek.formats.lookout", "mlrek.formats.lookout.manifest", "mlrek.formats.dealing"),
}
"""What asks services, what reads files of other services than Rekognition, and long ones."""
OF_OTHER_COMMANDS = {
    f"mlrek.cli.{name}"
    for name in (
        *("catalogue", "check", "comment", "compare", "completion", "evaluate"),
        *("policy", "promote", "show", "sync", "ui", "verify"),
    )
}
"""Modules of commands: only that of the one that is called is imported."""
HEAVY = {"mlflow", "numpy", "pandas", "sklearn", "scipy", "matplotlib", "boto3", "pyarrow"}


def test_help_pays_no_heavy_import():
    """`mlrek --help` and `mlrek sync --help` import nothing that takes long."""
    code = (
        "import sys; from mlrek.cli import main\n"
        "sys.argv = ['mlrek', *sys.argv[1:], '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    for args in ([], ["sync"], ["show"], ["versions"], ["archive"], ["projects"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
        )
        assert "Usage:" in done.stdout
        assert not HEAVY & set(done.stderr.split())


def test_processes_that_read_start_before_the_slow_imports():
    """Before its versions are listed a sync imports neither MLflow nor pandas, which take long."""
    code = "import sys, mlrek.runs.sync; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"mlflow", "pandas", "sklearn", "matplotlib", "boto3"} & set(done.stdout.split())


def list_imports(*args):
    """The modules that a whole command has imported in the end."""
    code = (
        "import sys; from mlrek.cli import main\n"
        "sys.argv = ['mlrek', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('\\n', *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_what_reads_files_imports_no_store_and_draws_nothing(digits):
    """`show` and `compare` of files import NumPy, SciPy's arrays, nothing for runs and pages."""
    allowed = {"numpy", "scipy"}
    for args in (
        ("show", f"{digits}#v2-linear"),
        ("compare", f"{digits}#v1-naive-bayes", f"{digits}#v2-linear"),
    ):
        found = list_imports(*args)
        assert found & (HEAVY | {"PIL", "scipy.optimize", "scipy.stats"}) <= allowed, args
        assert not found & (OF_OTHERS | OF_OTHER_TASKS | OF_OTHER_PLACES), args
        assert not found & (OF_OTHER_COMMANDS - {f"mlrek.cli.{args[0]}"}), args
        assert args[0] != "show" or "mlrek.comparison" not in found


def test_policy_check_imports_what_reads_a_policy_alone():
    """`policy check` imports no numbers, no source, and nothing that compares or decides."""
    found = list_imports("policy", "check", str(ROOT / "examples" / "policy.toml"))
    own = {name for name in found if name.startswith("mlrek.")}

    assert not found & HEAVY
    assert {name for name in own if not name.startswith("mlrek.cli")} == {
        *("mlrek.errors", "mlrek.kinds", "mlrek.text"),
        *("mlrek.policy", "mlrek.policy.parsing", "mlrek.policy.saying"),
        *("mlrek.sources", "mlrek.sources.policies", "mlrek.sources.storage"),
        "mlrek.sources.search",
    }


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["sync", "no/such/folder"], 1, ["no/such/folder", "no such"]),
        (["sync", "{digits}", "--version", "v9"], 2, ["v9", "v1-naive-bayes"]),
        (["sync"], 2, ["SOURCE"]),
        (["snyc", "x"], 2, ["sync"]),
        (["sync", "{digits}", "--prediction-rule", "best"], 2, ["top1", "threshold"]),
        (["show", "{digits}"], 2, ["4 versions", "#v1-naive-bayes"]),
        (["show", "{digits}#v9"], 1, ["v9", "v1-naive-bayes"]),
        (["show", "{digits}#" + "v" * 300], 1, ["no version", "v1-naive-bayes"]),
        (["show", "{digits}#v2-linear", "--label", "eigth"], 2, ["eight"]),
        (["show", "{digits}#v2-linear", "--threshold", "50"], 2, ["from 0 to 1: 0.5"]),
        (["show", "{digits}#v2-linear", "--outcome", "fp"], 2, ["--label"]),
        (["show", "{digits}#v2-linear", "--label", "eight", "--outcome", "x"], 2, ["fp"]),
        (["show", "models:/digits"], 2, ["models:/NAME/3"]),
        (["sync", "arn:aws:lookoutvision:us-east-1:1:model/p/1"], 2, ["2025-10-31"]),
        (["sync", "{digits}", "--tracking-uri", "http://127.0.0.1:9"], 1, ["does not answer"]),
    ],
)
def test_a_mistake_is_answered_by_what_to_do(run_mlrek, digits, args, code, words):
    """The right exit code, nothing on stdout, no traceback, and words that help."""
    done = run_mlrek(*(arg.format(digits=digits) for arg in args), check=False)

    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_json_is_one_document_and_quiet_says_nothing_else(run_mlrek, digits):
    """The result goes to stdout, and only that."""
    done = run_mlrek("show", f"{digits}#v4-new-split", "--json", "-q", "--label", "eight")
    shown = json.loads(done.stdout)

    assert done.stderr == ""
    assert shown["version"] == "v4-new-split"
    assert [label["label"] for label in shown["labels"]] == ["eight"]


def test_show_lists_the_images_of_a_label_by_outcome(run_mlrek, digits):
    """As many as there are in the label's counts, the least sure first."""
    args = ("show", f"{digits}#v2-linear", "--json", "-q", "--label", "eight")
    shown = json.loads(run_mlrek(*args, "--outcome", "fn").stdout)
    confidence = [image["confidence"] for image in shown["images"]]

    assert len(shown["images"]) == shown["labels"][0]["computed"]["fn"] > 0
    assert confidence == sorted(confidence)
    assert all(image["image"].startswith("s3://digits/") for image in shown["images"])


def test_show_reads_a_run_like_its_source(run_mlrek, digits, tmp_path):
    """Years later, without the files, a run's artifacts give the same answer."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    synced = run_mlrek("sync", digits, "--tracking-uri", store, "--version", "v2-linear", "--json")
    run_id = json.loads(synced.stdout)["versions"][0]["run_id"]
    args = ["--json", "--threshold", "0.7"]
    from_run = run_mlrek("show", f"runs:/{run_id}", "--tracking-uri", store, *args)
    from_files = run_mlrek("show", f"{digits}#v2-linear", *args)

    assert json.loads(from_run.stdout) == json.loads(from_files.stdout)


def test_versions_lists_what_there_is_and_what_is_logged(run_mlrek, digits, tmp_path):
    """Name, status, images, the service's F1, and the run once there is one."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    before = json.loads(run_mlrek("versions", digits, "--tracking-uri", store, "--json").stdout)[
        "versions"
    ]
    run_mlrek("sync", digits, "--tracking-uri", store, "--version", "v2-linear")
    after = json.loads(run_mlrek("versions", digits, "--tracking-uri", store, "--json").stdout)[
        "versions"
    ]

    assert [row["version"] for row in before] == [
        "v1-naive-bayes",
        "v2-linear",
        "v3-neighbours",
        "v4-new-split",
    ]
    assert all(row["has_evaluation"] and row["reported_f1"] > 0.5 for row in before)
    assert all(row["test_images"] > 300 for row in before)
    assert [bool(row["run_id"]) for row in before] == [False] * 4
    assert [bool(row["run_id"]) for row in after] == [False, True, False, False]
