"""How many candidates were checked on one test set, and what that makes of the answer."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from builders.projects import make_test, save_project
from mlflow import MlflowClient

N = 200
LABELS = ("bad", "good")
BETTER = (
    '[baseline]\nversion = "models:/parts@champion"\n[[better]]\nmetric = "aggregate/accuracy"\n'
)
ADJUSTED = BETTER.replace("[[better]]", "[test_set]\nadjust_for_looks = true\n[[better]]")
FLOOR = 'metric = "aggregate/accuracy"\nmin = 0.5\n'
RIGHT = {"v1": 160, "v2": 164, "v3": 168, "v4": 190}
"""Right images of 200: the same ones and some more."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, empty_store, warm) -> Path:
    """A database with four versions, registered; the first is the champion."""
    folder = tmp_path_factory.mktemp("looks")
    store = folder / "mlflow.db"
    store.write_bytes(Path(empty_store).read_bytes())
    truth = [LABELS[i % 2] for i in range(N)]
    versions = {
        name: make_test(truth, [LABELS[(i + (i >= right)) % 2] for i in range(N)], LABELS)
        for name, right in RIGHT.items()
    }
    project = save_project(folder / "parts", **versions)
    save_project(folder / "unlogged", v5=versions["v4"])
    done = warm.run("sync", project, "--register=parts", "--quiet", cwd=folder)
    assert done.returncode == 0, done.stderr
    client = MlflowClient(f"sqlite:///{store}")
    client.set_registered_model_alias("parts", "champion", "1")
    return store


@pytest.fixture
def store(tmp_path, prepared) -> Path:
    """A database of this test alone."""
    path = tmp_path / "own.db"
    path.write_bytes(prepared.read_bytes())
    return path


@pytest.fixture
def check(run_mlrek, store, tmp_path):
    """Check a version: the exit code and the document."""

    def run(candidate, policy: str = BETTER):
        path = tmp_path / f"policy{abs(hash(policy))}.toml"
        path.write_text(policy)
        args = ("--policy", path, "--json", "--tracking-uri", f"sqlite:///{store}")
        done = run_mlrek("check", candidate, *args, check=False)
        return done.returncode, json.loads(done.stdout)

    return run


def read_tags(store: Path, number: int) -> dict[str, str]:
    """The tags of the run of a registered version."""
    client = MlflowClient(f"sqlite:///{store}")
    run_id = client.get_model_version("parts", str(number)).run_id
    return {**client.get_run(run_id).data.tags, "run_id": run_id}


def test_each_candidate_is_counted_once_and_keeps_its_place(check, store, run_mlrek, tmp_path):
    """v3 fixes 8 of 200 images and breaks none.

    Newcombe's interval begins at +0.010 with 95 %, at +0.006 with 97.5 % (the first candidate), at
    -0.001 with 99.17 % (the second).
    """
    _, first = check("models:/parts/2", ADJUSTED)
    plain, second = check("models:/parts/3")
    held, again = check("models:/parts/3", ADJUSTED)
    better, third = check("models:/parts/4", ADJUSTED)

    looks = [document["looks"] for document in (first, second, again, third)]
    assert [(one["count"], one["k"]) for one in looks] == [(1, 1), (2, 2), (2, 2), (3, 3)]
    assert [one["adjusted"] for one in looks] == [True, False, True, True]
    assert [one["chance"] for one in looks] == pytest.approx(
        [0.025 / 2, 0.0454, 0.025 * 2 / 3, 0.025 * 3 / 4], abs=1e-4
    )
    assert (plain, held, better) == (0, 4, 0)
    assert "it would pass with 95 %" in again["checks"][-1]["reason"]
    assert "number 3" in third["checks"][-1]["reason"]
    assert "held to 99.5833 %" in third["checks"][-1]["reason"]

    tags, baseline = read_tags(store, 2), read_tags(store, 1)
    assert tags["mlrek.looked"] == f"{baseline['run_id']}/{tags['test_set_digest']}"
    assert "mlrek.looked" not in baseline

    path = tmp_path / "policy.toml"
    path.write_text(BETTER)
    args = ("--policy", path, "--markdown", tmp_path / "m.md")
    done = run_mlrek("check", "models:/parts/3", *args, "--tracking-uri", f"sqlite:///{store}")
    said = "number 2 of 3 logged versions on this test set against this baseline"
    assert said in " ".join(done.stdout.split())
    assert said in (tmp_path / "m.md").read_text()

    html = tmp_path / "c.html"
    pair = ("models:/parts/1", "models:/parts/4", "--html", html, "--no-log")
    done = run_mlrek("compare", *pair, "--json", "--tracking-uri", f"sqlite:///{store}")
    (warning,) = (w for w in json.loads(done.stdout)["candidates"][0]["warnings"] if "better" in w)
    assert warning.startswith("3 logged versions were checked on this test set against this")
    assert "3 logged versions were checked on this test set" in html.read_text()


def test_a_version_that_is_not_logged_is_not_counted_and_does_not_pass_adjusted(check, prepared):
    """Else any number of candidates could be tried uncounted; one that is logged has its run."""
    unlogged = f"{prepared.parent / 'unlogged'}#v5"
    code, document = check(unlogged)
    assert code == 0
    assert document["looks"] | {"chance": 0} == {
        "count": 0,
        "k": None,
        "chance": 0,
        "adjusted": False,
        "note": "this version is not logged, so it is not counted",
    }
    code, document = check(unlogged, ADJUSTED + "[[floor]]\n" + FLOOR)
    assert (code, document["checks"][-1]["status"]) == (4, "undecided")
    code, document = check(f"{prepared.parent / 'parts'}#v4", ADJUSTED)
    assert (code, document["looks"]["k"]) == (0, 1)


def test_a_tag_that_may_not_be_written_is_said_and_makes_nothing_easier(check, store):
    """Without adjust_for_looks the answer stays, with it the check is undecided."""
    with closing(sqlite3.connect(store)) as database:
        database.execute(
            "CREATE TRIGGER deny BEFORE INSERT ON tags WHEN NEW.key = 'mlrek.looked' "
            "BEGIN SELECT RAISE(ABORT, 'not allowed'); END"
        )
        database.commit()
    code, document = check("models:/parts/4")
    assert code == 0
    assert "cannot be kept" in document["looks"]["note"]
    code, document = check("models:/parts/4", ADJUSTED)
    assert (code, document["looks"]["k"]) == (4, None)
    assert "adjust_for_looks" in document["checks"][-1]["reason"]


def test_two_at_once_are_both_counted(check):
    """Whoever is first: neither is forgotten, and the places are at least 1 and 2."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda n: check(f"models:/parts/{n}", ADJUSTED)[1], (2, 4)))
    first, second = sorted(document["looks"]["k"] for document in found)
    assert first >= 1
    assert second >= 2
    _, again = check("models:/parts/2", ADJUSTED)
    assert (again["looks"]["count"], again["looks"]["k"]) == (2, found[0]["looks"]["k"])


def test_a_policy_of_floors_looks_at_nobody(check):
    """Nothing is compared, so nothing is counted."""
    assert check("models:/parts/2", f"[[floor]]\n{FLOOR}")[1]["looks"] is None
