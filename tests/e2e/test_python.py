"""`import mlrek` with a store: it writes and answers as the commands do, and is quiet."""

import json
import logging
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from math import isnan

import mlflow
import pytest

import mlrek

FLOOR = """
[[floor]]
metric = "aggregate/accuracy"
min = 0.9
confidence = 0.95
"""
AGAINST = """
[[no_worse]]
metric = "aggregate/accuracy"
margin = 0.01
confidence = 0.95
"""
OWN = ("mlrek.logged_at", "mlflow.user", "mlflow.source.name", "mlrek.heartbeat")
PAIRS = (
    ("digits#v1-naive-bayes", "digits#v2-linear"),
    ("digits#v2-linear", "digits#v4-new-split"),
    ("multilabel#v1-linear", "multilabel#v2-halves"),
    ("detection#v1-linear", "detection#v2-neighbours"),
    ("lookout-segmentation#1", "lookout-segmentation#2"),
    ("vertex#1", "vertex#2"),
)


@pytest.fixture(autouse=True)
def own_place(monkeypatch, tmp_path):
    """An empty folder, and nothing inherited from MLflow or AWS."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def quiet(capfd):
    """Nothing is printed or set by what a test does in between."""
    loggers = ["", "mlrek", "mlflow", "alembic", "mlflow.store.db.utils"]
    before = {name: logging.getLogger(name).level for name in loggers}
    handlers, environ = list(logging.getLogger().handlers), read_environ()
    capfd.readouterr()
    yield
    assert capfd.readouterr() == ("", "")
    assert {name: logging.getLogger(name).level for name in loggers} == before
    assert logging.getLogger().handlers == handlers
    assert read_environ() == environ


def read_environ():
    """The environment without what pytest and MLflow's import note in it."""
    own = ("PYTEST_", "_MLFLOW_")
    return {name: text for name, text in os.environ.items() if not name.startswith(own)}


def read_json(done):
    """What a command printed."""
    return json.loads(done.stdout)


def describe_run(store, run_id):
    """All that a run holds besides what is its own: ids and times of logging."""
    client = mlflow.MlflowClient(store)
    run = client.get_run(run_id)
    tags = {name: text for name, text in run.data.tags.items() if not name.startswith(OWN)}
    files = sorted(file.path for file in client.list_artifacts(run_id))
    times = (run.info.start_time, run.info.end_time, run.info.run_name, run.info.status)
    return run.data.params, run.data.metrics, tags, files, times


@pytest.mark.parametrize(("baseline", "candidate"), PAIRS)
def test_compare_answers_as_the_command(baseline, candidate, examples, run_mlrek):
    """`to_dict` is `mlrek compare --json`, whether texts are given or what was read."""
    names = [f"{examples}/{name}" for name in (baseline, candidate)]
    expected = read_json(run_mlrek("compare", *names, "--no-log", "--json"))

    assert mlrek.compare(*names).to_dict() == expected
    assert mlrek.compare(*map(mlrek.read, names)).to_dict() == expected


@pytest.mark.parametrize(("baseline", "candidate"), PAIRS)
def test_the_tables_of_a_comparison_hold_its_document(baseline, candidate, examples):
    """Numbers, labels and images are those of the document, in columns of the documented types."""
    c = mlrek.compare(f"{examples}/{baseline}", f"{examples}/{candidate}")
    found = c.to_dict()["candidates"][0]

    assert c.verdict == found["test_set"]["verdict"]
    assert len(c.metrics) + len(c.labels) == len(found["metrics"])
    for table, rows in (
        (c.metrics, [row for row in found["metrics"] if not row["label"]]),
        (c.labels, [row for row in found["metrics"] if row["label"]]),
    ):
        for name in ("baseline", "candidate", "difference", "low", "high", "p", "p_adjusted"):
            assert table[name].dtype == "float64"
            assert [None if isnan(v) else v for v in table[name]] == [row[name] for row in rows]
        for name in ("name", "scope", "judgement"):
            assert table[name].tolist() == [row[name] for row in rows]
    for kind in ("fixed", "broken", "changed"):
        assert getattr(c, kind)["image"].tolist() == [row["image"] for row in found[kind]]
    assert set(c.why) == set(found["why"])
    assert len(c.doubts) == len(found["doubts"])
    assert c.candidate in c.report()


@pytest.mark.parametrize("policy", [FLOOR, FLOOR + AGAINST])
def test_check_answers_as_the_command(policy, digits, run_mlrek, tmp_path):
    """As a file, as text, and as tables; with a baseline by name or as it was read."""
    file = tmp_path / "policy.toml"
    file.write_text(policy)
    candidate, baseline = f"{digits}#v2-linear", f"{digits}#v1-naive-bayes"
    done = run_mlrek(
        *("check", candidate, "--policy", file, "--baseline", baseline, "--json"), check=False
    )
    tables = {"floor": [{"metric": "aggregate/accuracy", "min": 0.9, "confidence": 0.95}]}
    if "no_worse" in policy:
        margin = {"metric": "aggregate/accuracy", "margin": 0.01, "confidence": 0.95}
        tables["no_worse"] = [margin]
    expected = read_json(done)

    for given in (file, str(file), policy, tables):
        assert mlrek.check(candidate, given, baseline=baseline).to_dict() == expected
    d = mlrek.check(mlrek.read(candidate), policy, baseline=mlrek.read(baseline))
    assert d.to_dict() == expected
    assert d.checks["status"].tolist() == [check["status"] for check in expected["checks"]]
    assert d.verdict == expected["verdict"]


def test_a_check_without_a_store_makes_none(examples, run_mlrek, tmp_path, quiet):
    """It answers as the command, which makes a database: nobody is the champion yet."""
    candidate, policy = f"{examples}/digits#v2-linear", examples / "policy.toml"
    d = mlrek.check(candidate, policy)

    assert not list(tmp_path.iterdir())
    done = run_mlrek("check", candidate, "--policy", policy, "--json", check=False)
    assert d.to_dict() == read_json(done)
    assert d.verdict == "undecided"


def test_a_check_writes_nothing_unless_asked(digits_store, quiet):
    """No tag of a look, no file; with `log` both, as the command does."""
    client = mlflow.MlflowClient(digits_store)
    runs = {
        run.data.tags["version_name"]: run.info.run_id
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id])
    }
    candidate, baseline = (f"runs:/{runs[name]}" for name in ("v2-linear", "v1-naive-bayes"))
    before = describe_run(digits_store, runs["v2-linear"])
    d = mlrek.check(candidate, FLOOR + AGAINST, baseline=baseline, tracking_uri=digits_store)

    assert d.verdict == "passed"
    assert describe_run(digits_store, runs["v2-linear"]) == before
    kept = mlrek.check(
        candidate, FLOOR + AGAINST, baseline=baseline, tracking_uri=digits_store, log=True
    )
    assert kept.verdict == "passed"
    _, _, tags, files, _ = describe_run(digits_store, runs["v2-linear"])
    assert "mlrek.looked" in tags
    assert "check" in files


def test_sync_writes_what_the_command_writes(digits, new_store, tmp_path, run_mlrek, quiet):
    """The same runs; a second time, by either of the two, nothing is written."""
    done = mlrek.sync(digits, tracking_uri=new_store)
    again = mlrek.sync(digits, tracking_uri=new_store)
    shell = run_mlrek("sync", digits, "--tracking-uri", new_store, "--json")

    assert done.versions["action"].tolist() == ["created"] * 4
    assert again.versions["action"].tolist() == ["unchanged"] * 4
    assert again.to_dict() == read_json(shell)
    assert not done.any_failed
    assert repr(again) == "<SyncedVersions 4 unchanged>"


def test_runs_of_python_are_those_of_the_command(digits, new_store, digits_store, tmp_path, quiet):
    """`log` of what was read, and `sync`, hold the same as runs of `mlrek sync`."""
    other = f"sqlite:///{shutil.copy(new_store.removeprefix('sqlite:///'), tmp_path / 'b.db')}"
    logged = mlrek.log(mlrek.read(f"{digits}#v2-linear"), tracking_uri=other)
    synced = mlrek.sync(digits, version="v2-linear", tracking_uri=digits_store)
    run_id = synced.versions.loc[0, "run_id"]

    assert synced.versions["action"].tolist() == ["unchanged"]
    assert describe_run(other, logged.run_id) == describe_run(digits_store, run_id)
    assert mlrek.sync(digits, version="v2-linear", tracking_uri=other).versions[
        "action"
    ].tolist() == ["unchanged"]


def test_a_run_that_was_read_is_not_logged_again(digits_store, digits, quiet):
    """It holds the same already; with `force` it is replaced."""
    run_id = mlrek.sync(digits, version="v2-linear", tracking_uri=digits_store).versions.loc[
        0, "run_id"
    ]
    ev = mlrek.read(f"runs:/{run_id}", tracking_uri=digits_store)

    assert ev.run_id == run_id
    assert (
        ev.metrics["aggregate/accuracy"]
        == mlrek.read(f"{digits}#v2-linear").metrics["aggregate/accuracy"]
    )
    assert mlrek.log(ev, tracking_uri=digits_store).action == "unchanged"
    replaced = mlrek.log(ev, tracking_uri=digits_store, force=True)
    assert (replaced.action, replaced.run_id != run_id) == ("replaced", True)


def test_a_model_of_ones_own_is_logged_with_its_predecessor(digits, digits_store, quiet):
    """Arrays under the project's ARN have their run in its experiment, and compare there."""
    old = mlrek.read(f"{digits}#v2-linear")
    table = old.predictions
    ev = mlrek.evaluate(
        table["truth"],
        table["truth"],
        images=table["image"],
        labels=old.labels["label"],
        project=old.evaluation.version.project.arn,
        version="perfect",
    )
    logged = mlrek.log(ev, tracking_uri=digits_store)
    again = mlrek.log(ev, tracking_uri=digits_store)
    c = mlrek.compare(old, f"runs:/{logged.run_id}", tracking_uri=digits_store)

    assert (logged.action, again.action) == ("created", "unchanged")
    assert (logged.experiment, logged.run_id) == ("mlrek/digits", again.run_id)
    assert (c.verdict, c.judgement, len(c.broken)) == ("same", "better", 0)
    assert len(c.fixed) == (~table["right"]).sum()


def test_predictions_of_any_model_are_read_and_logged_as_by_the_command(
    examples, digits_store, run_mlrek, quiet
):
    """Its truth and names by keyword; read, logged, synced and found by its ARN it is one run."""
    project = mlrek.read(f"{examples}/digits#v2-linear").evaluation.version.project.arn
    truth = f"{examples}/digits/versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"
    file = f"{examples}/successor/predictions.parquet"
    about = {"truth": truth, "project": project, "version": "v5-own"}
    ev = mlrek.read(file, **about)
    logged = mlrek.log(ev, tracking_uri=digits_store)
    synced = mlrek.sync(file, **about, tracking_uri=digits_store)
    options = [word for name, value in about.items() for word in (f"--{name}", value)]
    shell = run_mlrek("sync", file, *options, "--tracking-uri", digits_store, "--json")
    found = mlrek.read(ev.version_arn, tracking_uri=digits_store)

    assert logged.action == "created"
    assert synced.versions[["action", "run_id"]].values.tolist() == [["unchanged", logged.run_id]]
    assert synced.to_dict() == read_json(shell)
    assert found.run_id == logged.run_id
    assert found.metrics.to_frame().equals(ev.metrics.to_frame())


def test_a_fresh_database_is_made_in_silence(digits, tmp_path, quiet):
    """By the first `sync` of all, and by eight threads that log at once."""
    store = f"sqlite:///{tmp_path}/fresh.db"
    ev = mlrek.read(f"{digits}#v2-linear")
    with ThreadPoolExecutor(8) as pool:
        logged = list(pool.map(lambda _: mlrek.log(ev, tracking_uri=store), range(8)))

    run_id = mlrek.log(ev, tracking_uri=store).run_id
    client = mlflow.MlflowClient(store)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [run.info.run_id for run in client.search_runs(ids)] == [run_id]
    assert {one.action for one in logged} <= {"created", "replaced", "unchanged"}


@pytest.mark.browser
def test_pages_live_in_frames_of_their_own(digits, browser, tmp_path):
    """In a notebook report and comparison work, and touch nothing around them."""
    ev = mlrek.read(f"{digits}#v2-linear")
    c = mlrek.compare(f"{digits}#v1-naive-bayes", ev)
    page = tmp_path / "page.html"
    page.write_text(f"<title>around</title>{ev._repr_html_()}{c._repr_html_()}", "utf-8")
    browser.get_log("browser")  # what other pages said
    browser.get(page.as_uri())
    frames = browser.find_elements("tag name", "iframe")
    titles = []
    for frame in frames:
        browser.execute_script("arguments[0].scrollIntoView()", frame)
        browser.switch_to.frame(frame)
        titles.append(browser.find_element("tag name", "h1").text)
        assert browser.find_elements("css selector", "table tr, svg *")
        browser.switch_to.default_content()

    assert titles[0] == "v2-linear"
    assert len(titles) == 2
    assert "v2-linear" in titles[1]
    assert browser.title == "around"
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_code_of_the_readme_runs(digits, tmp_path, capsys):
    """As it stands there, from the folder of the repository."""
    root = digits.parents[1]
    (tmp_path / "examples").symlink_to(root / "examples")
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "mlrek.read(" in block)
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - it is our own

    said = capsys.readouterr().out.splitlines()
    assert said == ["same better 91 14", "passed", "0.6666666666666666"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mlrek.read("./nowhere"), "./nowhere"),
        (lambda: mlrek.read("runs:/abc", tracking_uri="sqlite:///none.db"), "no such store"),
        (lambda: mlrek.check("x", "missing.toml"), "missing.toml: no such file or folder"),
        (lambda: mlrek.check("x", {"flor": [{}]}), "unknown table 'flor'; did you mean 'floor'"),
        (lambda: mlrek.check("x", AGAINST), "none is named"),
        (lambda: mlrek.sync("./nowhere", tracking_uri="sqlite:///x.db"), "./nowhere"),
        (lambda: mlrek.sync("x", threshold=50), "no number from 0 to 1"),
        (lambda: mlrek.sync("x", prediction_rule="best"), "none of"),
        (lambda: mlrek.log(mlrek.evaluate([0, 1], [0, 1]), tracking_uri="localhost:1"), "http"),
    ],
)
def test_what_goes_wrong_is_one_line_of_an_mlrek_error(call, said, quiet):
    """It names what is wrong."""
    with pytest.raises(mlrek.MlrekError) as caught:
        call()

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mlrek.read(3),
        lambda: mlrek.compare("a", None),
        lambda: mlrek.check(None, FLOOR),
        lambda: mlrek.check("a", 3),
        lambda: mlrek.log("examples/digits#v2-linear"),
        lambda: mlrek.sync(None),
        lambda: mlrek.sync("a", truht="b.csv"),
    ],
)
def test_arguments_of_another_type_are_type_errors(call):
    """As Python's own functions have it."""
    with pytest.raises(TypeError):
        call()
