"""A promotion's decision is sealed; `mlrek verify` says whether it still holds."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders.projects import make_test, save_project
from mlflow import MlflowClient

N = 200
LABELS = ("bad", "good")
POLICY = """# asked at https://me:Sup3rSecret@wiki.example/policy
[baseline]
version = "models:/parts@champion"
[test_set]
min_images = 100
[[floor]]
metric = "aggregate/accuracy"
min = 0.7
[[no_worse]]
metric = "aggregate/accuracy"
margin = 0.005
"""
RIGHT = {"v1": 160, "v2": 180, "v3": 190}
PREDICATE = "https://github.com/mlrek/mlrek/decision/v1"


def make_version(n_right: int):
    """A version that has so many of 200 images right."""
    truth = [LABELS[i % 2] for i in range(N)]
    return make_test(truth, [LABELS[(i + (i >= n_right)) % 2] for i in range(N)], LABELS)


class Project:
    """A store with its artifacts, and commands on it."""

    def __init__(self, folder: Path, warm) -> None:
        self.folder, self._warm = folder, warm
        self.uri = f"sqlite:///{folder}/mlflow.db"

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client."""
        return MlflowClient(self.uri)

    def run(self, *args, check=True):
        """A command."""
        done = self._warm.run(*args, "--tracking-uri", self.uri, cwd=self.folder)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def promote(self, number: int, policy: str = POLICY, *args, check=True):
        """Promote a version."""
        (self.folder / "policy.toml").write_text(policy)
        asked = ("--policy", self.folder / "policy.toml", "--yes", *args)
        return self.run("promote", f"models:/parts/{number}", *asked, check=check)

    def verify(self, text: str = "models:/parts@champion", *args):
        """The exit code, and the document."""
        done = self.run("verify", text, "--json", *args, check=False)
        return done.returncode, json.loads(done.stdout)

    def find_run(self, number: int):
        """The run of a registered version."""
        return self.client.get_run(self.client.get_model_version("parts", str(number)).run_id)

    def find_file(self, number: int, path: str) -> Path:
        """Where an artifact is."""
        return Path(self.find_run(number).info.artifact_uri.removeprefix("file://"), path)

    def read_seal(self, number: int) -> str:
        """The tag of a registered version."""
        return self.client.get_model_version("parts", str(number)).tags.get("mlrek.decision", "")

    def reseal(self, number: int, change) -> None:
        """Put a changed decision in the place of the sealed one, with the digest that fits it."""
        path = self.find_file(number, f"decisions/{self.read_seal(number)}.json")
        document = json.loads(path.read_text())
        change(document)
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        seal = hashlib.sha256(text.encode()).hexdigest()
        path.with_name(f"{seal}.json").write_text(text)
        self.client.set_model_version_tag("parts", str(number), "mlrek.decision", seal)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory, empty_store, warm) -> Project:
    """Three versions, the first two promoted one after the other."""
    folder = tmp_path_factory.mktemp("verify")
    shutil.copy(empty_store, folder / "mlflow.db")
    project = Project(folder, warm)
    versions = {name: make_version(right) for name, right in RIGHT.items()}
    project.run("sync", save_project(folder / "parts", **versions), "--register=parts", "-q")
    project.promote(1)
    project.promote(2)
    return project


@pytest.fixture
def project(promoted) -> Project:
    """The project as it was promoted; what a test does to its store is undone."""
    database = promoted.folder / "mlflow.db"
    kept = database.read_bytes()
    yield promoted
    database.write_bytes(kept)


def read_sealed(project: Project, number: int) -> tuple[bytes, dict]:
    """A sealed decision."""
    content = project.find_file(number, f"decisions/{project.read_seal(number)}.json").read_bytes()
    return content, json.loads(content)


def test_a_promotion_seals_an_in_toto_statement(project):
    """Its SHA-256 is its name and the version's tag; the digests are those of the files."""
    content, statement = read_sealed(project, 2)

    assert hashlib.sha256(content).hexdigest() == project.read_seal(2)
    canonical = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert content == canonical.encode()
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE
    digests = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    for side, number in (("candidate", 2), ("baseline", 1)):
        file = project.find_file(number, "evaluation.parquet")
        assert digests[f"{side}/evaluation.parquet"] == (
            hashlib.sha256(file.read_bytes()).hexdigest()
        )
        run = project.find_run(number)
        assert statement["predicate"][side]["run_id"] == run.info.run_id
        assert statement["predicate"][side]["model_version"] == number
        assert run.data.tags["mlrek.decision"]
    assert len(digests["test_set"]) == 64
    assert digests["test_set"].startswith(project.find_run(2).data.tags["test_set_digest"])
    predicate = statement["predicate"]
    assert {check["status"] for check in predicate["checks"]} == {"passed"}
    assert (predicate["verdict"], predicate["alias"]) == ("passed", "champion")
    assert predicate["looks"]["k"] == 1
    assert predicate["candidate"]["metrics"]["aggregate/accuracy"] == 180 / 200
    assert predicate["policy"]["text"] == POLICY.replace("me:Sup3rSecret", "***")
    assert b"Sup3rSecret" not in content
    assert read_sealed(project, 1)[1]["predicate"]["baseline"] is None


def test_it_holds_by_alias_and_by_number(project, tmp_path):
    """Also the first promotion, which had no baseline; the policy may be named."""
    code, document = project.verify()
    assert (code, document["verdict"], document["version"]) == (0, "holds", 2)
    assert document["decision"] == project.read_seal(2)
    assert {"policy", "answer", "baseline evaluation.parquet"} <= {
        finding["what"] for finding in document["findings"]
    }
    same = tmp_path / "same.toml"
    same.write_text(POLICY)
    assert project.verify("models:/parts/1", "--policy", same)[0] == 0
    other = tmp_path / "other.toml"
    other.write_text(POLICY.replace("0.7", "0.6"))
    code, document = project.verify("models:/parts/2", "--policy", other)
    assert (code, document["verdict"]) == (3, "broken")


@contextmanager
def edited(path: Path, change):
    """A file as somebody edited it; it comes back."""
    kept = path.read_bytes()
    path.write_bytes(change(kept))
    try:
        yield
    finally:
        path.write_bytes(kept)


@pytest.mark.parametrize(
    ("number", "path"),
    [
        (2, "evaluation.parquet"),
        (1, "evaluation.parquet"),
        (1, "evaluation.json"),
        (2, "per_label.csv"),
        (2, "decisions/{seal}.json"),
    ],
)
def test_what_was_edited_is_broken(project, number, path):
    """One byte more in a file of either version is enough."""
    file = project.find_file(number, path.format(seal=project.read_seal(2)))
    with edited(file, lambda content: content + b" "):
        code, document = project.verify()
    assert (code, document["verdict"]) == (3, "broken")
    (broken,) = (one for one in document["findings"] if one["verdict"] == "broken")
    assert file.name in broken["reason"]


def forge_policy(statement: dict) -> None:
    """A stricter policy, its digest put right."""
    policy = statement["predicate"]["policy"]
    policy["text"] = policy["text"].replace("min = 0.7", "min = 0.95")
    policy["sha256"] = hashlib.sha256(policy["text"].encode()).hexdigest()


def forge_policy_alone(statement: dict) -> None:
    """Another text, its digest left."""
    statement["predicate"]["policy"]["text"] += "# so it was\n"


def forge_number(statement: dict) -> None:
    """The decision on another version."""
    statement["predicate"]["candidate"]["model_version"] = 3


def forge_edition(statement: dict) -> None:
    """As a later mlrek decided."""
    statement["predicate"]["log_schema"] = 99


def forge_type(statement: dict) -> None:
    """As a later mlrek writes."""
    statement["predicateType"] = PREDICATE.replace("v1", "v2")


@pytest.mark.parametrize(
    ("change", "code", "what"),
    [
        (forge_policy, 3, "answer"),
        (forge_policy_alone, 3, "policy"),
        (forge_number, 3, "version"),
        (forge_edition, 4, "answer"),
        (forge_type, 4, "decision"),
    ],
)
def test_a_forged_decision_does_not_hold(project, change, code, what):
    """Its own digest fits, but not what it says."""
    project.reseal(2, change)
    ended, document = project.verify()
    assert ended == code
    assert what in {one["what"] for one in document["findings"] if one["verdict"] != "holds"}


def test_an_evaluation_of_a_later_schema_cannot_be_decided_again(project):
    """Its digest fits the decision, but this mlrek cannot read it: 4."""
    file = project.find_file(2, "evaluation.parquet")
    table = pq.read_table(file)
    header = json.loads(table.schema.metadata[b"mlrek"]) | {"schema_version": 99}
    kept = file.read_bytes()
    try:
        pq.write_table(table.replace_schema_metadata({"mlrek": json.dumps(header)}), file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()

        def change(statement: dict) -> None:
            (own,) = (s for s in statement["subject"] if s["name"].startswith("candidate/"))
            own["digest"]["sha256"] = digest

        project.reseal(2, change)
        code, document = project.verify()
    finally:
        file.write_bytes(kept)
    assert code == 4
    (reason,) = (one["reason"] for one in document["findings"] if one["verdict"] == "unknown")
    assert "pip install --upgrade mlrek" in reason


def change_tag(project: Project) -> None:
    """The tag names a decision that is not there."""
    project.client.set_model_version_tag("parts", "2", "mlrek.decision", "0" * 64)


def replace_run(project: Project) -> None:
    """The alias stands for a version of another run that has the same tag."""
    run, seal = project.find_run(3), project.read_seal(2)
    made = project.client.create_model_version("parts", run.info.artifact_uri, run.info.run_id)
    project.client.set_model_version_tag("parts", made.version, "mlrek.decision", seal)
    project.client.set_registered_model_alias("parts", "champion", made.version)


def delete_run(number: int):
    """A function that deletes the run of a version."""
    return lambda project: project.client.delete_run(project.find_run(number).info.run_id)


def raise_schema(project: Project) -> None:
    """The run was written by a later mlrek."""
    project.client.set_tag(project.find_run(1).info.run_id, "mlrek.log_schema", "99")


def change_number(project: Project) -> None:
    """MLflow shows another accuracy than was computed."""
    project.client.log_metric(project.find_run(2).info.run_id, "aggregate/accuracy", 0.99)


def drop_tag(project: Project) -> None:
    """Nothing is sealed."""
    project.client.delete_model_version_tag("parts", "2", "mlrek.decision")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (change_tag, 3),
        (change_number, 3),
        (replace_run, 3),
        (delete_run(1), 4),
        (delete_run(2), 4),
        (raise_schema, 4),
        (drop_tag, 4),
    ],
)
def test_a_store_that_was_changed(project, change, code):
    """3 where something else is there, 4 where something is gone or of a later edition."""
    change(project)
    assert project.verify()[0] == code


def test_it_holds_after_a_year_of_work(project):
    """Later promotions, to another alias too, all versions logged anew, a rollback."""
    project.promote(3)
    project.promote(2, POLICY.replace("@champion", "@staging"), "--alias", "staging")
    changed = {name: make_version(right - 1) for name, right in RIGHT.items()}
    project.client.log_metric(project.find_run(2).info.run_id, "our/own", 1)
    later = save_project(project.folder / "later", **changed)
    project.run("sync", later, "--register=parts", "-q")
    project.run("promote", "models:/parts", "--rollback", "--yes")

    assert project.client.get_model_version_by_alias("parts", "champion").version == 2
    assert [project.verify(text)[0] for text in ("models:/parts@champion", "models:/parts/3")] == [
        *(0, 0)
    ]
    assert project.find_run(1).data.tags["mlrek.superseded"] == "true"
    assert project.verify("models:/parts@staging")[0] == 0


def test_without_its_seal_nothing_is_promoted(project):
    """The tag, then the alias is refused, as if the process had been killed before it.

    The alias stays, and the next promotion is sealed as if nothing had been.
    """
    writes = (
        "INSERT ON model_version_tags WHEN NEW.key = 'mlrek.decision'",
        "UPDATE ON registered_model_aliases",
    )
    with closing(sqlite3.connect(project.folder / "mlflow.db")) as database:
        for write in writes:
            said = "BEGIN SELECT RAISE(ABORT, 'not allowed'); END"
            database.execute(f"CREATE TRIGGER deny BEFORE {write} {said}")
            database.commit()
            assert project.promote(3, check=False).returncode == 1
            assert project.client.get_model_version_by_alias("parts", "champion").version == 2
            database.execute("DROP TRIGGER deny")
            database.commit()
    assert project.verify()[0] == 0
    said = project.promote(3).stdout
    assert f"The decision is sealed as {project.read_seal(3)} (SHA-256)." in said
    assert project.client.get_model_version_by_alias("parts", "champion").version == 3
    assert project.verify()[0] == 0


def test_a_weaker_policy_is_said_rule_by_rule(project):
    """A smaller floor, a wider margin and fewer images than at the last promotion."""
    weaker = POLICY.replace("0.7", "0.65").replace("0.005", "0.01").replace("100", "50")
    done = project.promote(3, weaker, "--json", "--dry-run")
    said = [one for one in json.loads(done.stdout)["warnings"] if "weaker" in one]
    assert [one.partition("(version 2): ")[2] for one in said] == [
        "[test_set] min_images: 100 is now 50",
        "[[floor]] aggregate/accuracy: min 0.7 is now 0.65",
        "[[no_worse]] aggregate/accuracy: margin 0.005 is now 0.01",
    ]


STANDING_IN = """
mlrek() { case "$*" in *--json*) cat "$ANSWERS/verify.json";; *) cat "$ANSWERS/verify.txt";; esac; }
mlflow() { test "$1 $2 $3 $5" = "artifacts download -r -d" && cp -rL "$ANSWERS/$4" "$6"; }
"""
"""What two slow commands do that the page names: what mlrek says, and a run's artifacts."""


def test_the_page_for_auditors_can_be_typed(project, tmp_path):
    """Every command of docs/decisions.md, one after the other: all files are as sealed."""
    page = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    answers, here = tmp_path / "answers", tmp_path / "here"
    answers.mkdir()
    here.mkdir()
    for file, args in (("verify.txt", ()), ("verify.json", ("--json",))):
        (answers / file).write_text(project.run("verify", "models:/parts@champion", *args).stdout)
    for number in (1, 2):
        run = project.find_run(number)
        (answers / run.info.run_id).symlink_to(project.find_file(number, "."))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join((STANDING_IN, *blocks))],
        cwd=here,
        env=os.environ | {"ANSWERS": str(answers)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "The sealed decision holds: models:/parts/2" in done.stdout
    for name in ("candidate/evaluation.parquet", "baseline/evaluation.parquet"):
        assert f"{name}: OK" in done.stdout
    assert "baseline/evaluation.json: OK" in done.stdout
    assert f"candidate/decisions/{project.read_seal(2)}.json: OK" in done.stdout
    digest = hashlib.sha256(POLICY.replace("me:Sup3rSecret", "***").encode()).hexdigest()
    assert done.stdout.count(digest) == 2
    assert "v2 was passed as champion" in done.stdout


def test_a_check_is_kept_but_not_sealed(project, tmp_path):
    """`decisions/<UTC time>.json` in the run, and a file where it is asked for."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    file = tmp_path / "decision.json"
    args = ("--policy", policy, "--decision", file)
    project.run("check", "models:/parts/3", *args)
    (kept,) = project.find_file(3, "decisions").glob("2*Z.json")
    statement = json.loads(kept.read_text())
    assert kept.read_bytes() == file.read_bytes()
    assert statement["predicateType"] == PREDICATE
    assert statement["predicate"]["verdict"] == "passed"
    assert project.read_seal(3) == ""
    file.unlink()
    project.run("check", f"{project.folder / 'parts'}#v3", *args)
    subjects = [one["name"] for one in json.loads(file.read_text())["subject"]]
    assert subjects == ["baseline/evaluation.parquet", "test_set"]
