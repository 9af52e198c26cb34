"""A database that takes names for equal which differ in case or accents alone: MariaDB."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest
from fakes.evaluations import F1, describe, make_files, version_arn
from fakes.mariadb import run_sql
from mlflow import MlflowClient

pytestmark = pytest.mark.server
OUTCOMES = ("true-positive", "true-negative", "false-positive", "false-negative")


def project_arn(name: str) -> str:
    """The ARN of a project."""
    return f"arn:aws:rekognition:us-east-1:111122223333:project/{name}/1690474772815"


def save(folder: Path, project: str, versions: list[str], answers: list[tuple[str, str]]) -> Path:
    """An archived project of versions that gave these answers: (true label, predicted label)."""
    arn = project_arn(project)
    for i, version in enumerate(versions):
        described = describe(version_arn(version, 1690556751958 + i, arn))
        place = folder / "versions" / version
        place.mkdir(parents=True)
        (place / "version.json").write_text(json.dumps(described, default=str))
        for (_, key), content in make_files(described).items():
            name = key.rpartition("/")[2]
            made = make_lines(answers) if name.startswith("TestingGroundTruth") else content
            made = make_summary(described, answers) if "ResultSummary-" in name else made
            (place / name).write_bytes(made)
    head = {"provider": "rekognition", "project_arn": arn, "project_name": project}
    (folder / "project.json").write_text(json.dumps(head))
    return folder


def make_lines(answers: list[tuple[str, str]]) -> bytes:
    """A manifest of an image for each answer."""
    lines = []
    for i, (true, predicted) in enumerate(answers):
        outcome = "true-positive" if true == predicted else "false-positive"
        details: dict[str, object] = {f"is-{name}": name == outcome for name in OUTCOMES}
        details |= {"is-present-in-ground-truth": true == predicted, "version": 1}
        lines.append(
            {
                "source-ref": f"s3://images/{i}.jpg",
                "rekognition-custom-labels-training-0": 1,
                "rekognition-custom-labels-training-0-metadata": {
                    "class-name": true,
                    "confidence": 1.0,
                    "type": "groundtruth/image-classification",
                    "human-annotated": "yes",
                },
                "rekognition-custom-labels-evaluation-0": 1,
                "rekognition-custom-labels-evaluation-0-metadata": {
                    "class-name": predicted,
                    "confidence": 0.9 - i / 1000,
                    "type": "groundtruth/image-classification",
                    "human-annotated": "no",
                    "rekognition-custom-labels-evaluation-details": details,
                },
            }
        )
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def make_summary(described: dict, answers: list[tuple[str, str]]) -> bytes:
    """A summary that names the labels."""
    labels = sorted({true for true, _ in answers})
    numbers = {"Precision": 0.9, "Recall": 0.9, "F1Score": F1, "Threshold": 0.5}
    return json.dumps(
        {
            "Version": 1,
            "AggregatedEvaluationResults": {"Precision": 0.9, "Recall": 0.9, "F1Score": F1},
            "EvaluationDetails": {
                "EvaluationEndTimestamp": "2023-07-28T15:33:10.827000",
                "Labels": labels,
                "NumberOfTestingImages": len(answers),
                "NumberOfTrainingImages": 12,
                "ProjectVersionArn": described["ProjectVersionArn"],
            },
            "LabelEvaluationResults": [
                {"Label": label, "Metrics": numbers, "NumberOfTestingImages": 1} for label in labels
            ],
        },
        ensure_ascii=False,
    ).encode()


@pytest.fixture(scope="session")
def new_database(mariadb) -> Callable[[str], str]:
    """A function: a store without runs, in a database of a character set; its URI."""
    template, numbers = f"{mariadb}/template", iter(range(100))
    run_sql(mariadb, "CREATE DATABASE template CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    MlflowClient(template).search_experiments()
    tables = [name for (name,) in run_sql(template, "SHOW TABLES")]

    def make(charset: str) -> str:
        name = f"store{next(numbers)}"
        run_sql(mariadb, f"CREATE DATABASE {name} CHARACTER SET {charset}")
        for table in tables:
            run_sql(
                mariadb,
                "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",  # the default experiment is number 0
                f"CREATE TABLE {name}.{table} LIKE template.{table}",
                f"INSERT INTO {name}.{table} SELECT * FROM template.{table}",  # noqa: S608
                *(
                    []
                    if charset == "utf8mb4"
                    else [f"ALTER TABLE {name}.{table} CONVERT TO CHARACTER SET {charset}"]
                ),
            )
        return f"{mariadb}/{name}"

    return make


@pytest.fixture(scope="session")
def store(new_database) -> str:
    """The URI of a store whose names compare without case and accents."""
    return new_database("utf8mb4")


def read_keys(uri: str, run_id: str) -> dict[str, float]:
    """The numbers of labels that MLflow has of a run: key without its group -> F1."""
    metrics = MlflowClient(uri).get_run(run_id).data.metrics
    return {
        key.removeprefix("label_f1/"): value
        for key, value in metrics.items()
        if key.startswith("label_f1/")
    }


def plain(text: str) -> str:
    """A name as such a database compares it."""
    decomposed = normalize("NFKD", text)
    return "".join(c for c in decomposed if not 0x300 <= ord(c) < 0x370).casefold().rstrip()


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("letters", ["a", "A", "b", "B"]),
        ("case", ["Cat", "cat"]),
        ("accent", ["café", "cafe"]),
        ("blank", ["dog", "dog "]),
        ("strokes", ["øl", "ol"]),
        ("sharp", ["Maß", "mass", "mas"]),
        ("kana", ["カ", "か", "が"]),
        ("rare", ["𠀀", "𠀁"]),
    ],
)
def test_labels_that_the_database_takes_for_equal_keep_apart(
    run_mlrek, store, tmp_path, name, labels
):
    """A key for each label, all different to it; `labels.json` tells which; no second run."""
    answers = [(label, label) for label in labels for _ in range(3)]
    project = save(tmp_path / name, name, ["v1"], answers)
    place = ("--tracking-uri", store, "--json")
    first = json.loads(run_mlrek("sync", project, *place).stdout)["versions"][0]
    again = json.loads(run_mlrek("sync", project, *place).stdout)["versions"][0]

    found = read_keys(store, first["run_id"])
    assert found == dict.fromkeys(found, 1.0)
    assert len({plain(key) for key in found}) == len(labels)
    kept = MlflowClient(store).download_artifacts(first["run_id"], "labels.json", str(tmp_path))
    mapped = json.loads(Path(kept).read_text())
    assert {mapped[label]["metric_key"] for label in labels} == found.keys()
    assert (again["action"], again["run_id"]) == ("unchanged", first["run_id"])


def test_letters_of_two_cases_have_their_own_numbers(run_mlrek, store, tmp_path):
    """Of four images one `b` is taken for `B`: 2 of 3 is the F1 of both, 1 that of `a` and `A`."""
    answers = [("a", "a"), ("A", "A"), ("b", "b"), ("B", "B"), ("b", "B")]
    project = save(tmp_path / "two", "two", ["v1"], answers)
    done = run_mlrek("sync", project, "--tracking-uri", store, "--json")
    found = read_keys(store, json.loads(done.stdout)["versions"][0]["run_id"])

    assert sorted(found.values()) == pytest.approx([2 / 3, 2 / 3, 1, 1])


def test_versions_whose_names_differ_in_case_are_both_logged(run_mlrek, store, tmp_path):
    """On equal images: their test sets have one digest, and names that the database confuses."""
    project = save(tmp_path / "cased", "cased", ["V1", "v1"], [("x", "x"), ("y", "x")])
    place = ("--tracking-uri", store, "--json")
    done = run_mlrek("sync", project, *place)
    versions = json.loads(done.stdout)["versions"]
    again = json.loads(run_mlrek("sync", project, *place).stdout)["versions"]

    assert [one["action"] for one in versions] == ["created", "created"]
    assert [one["action"] for one in again] == ["unchanged", "unchanged"]
    assert [one["run_id"] for one in again] == [one["run_id"] for one in versions]


def test_projects_whose_names_differ_in_case_have_their_own_experiments_and_models(
    run_mlrek, store, tmp_path
):
    """Three of them: the versions of each are registered under a name of its own."""
    names = ["Parts", "parts", "PARTS"]
    found = []
    for name in names:
        project = save(tmp_path / f"of-{name}", name, ["v1"], [("x", "x"), ("y", "x")])
        for _ in range(2):
            done = run_mlrek("sync", project, "--register", "--tracking-uri", store, "--json")
        result = json.loads(done.stdout)
        (version,) = result["versions"]
        assert version["action"] == "unchanged"
        assert version["model"]["version"] == 1
        found.append((result["projects"][0]["experiment"], version["model"]["name"]))

    experiments, models = zip(*found, strict=True)
    assert len({plain(name) for name in experiments}) == 3
    assert len({plain(name) for name in models}) == 3
    assert found[0] == ("mlrek/Parts", "Parts")


@pytest.mark.parametrize(
    ("charset", "labels"),
    [("utf8mb3", ["rose", "🌹"]), ("latin1", ["猫", "犬", "Köter"]), ("latin1", ["rose", "🌹"])],
)
def test_characters_that_the_database_cannot_hold_cost_the_note_alone(
    run_mlrek, new_database, tmp_path, charset, labels
):
    """The run is complete, every label has its number, and a second sync writes nothing."""
    store = new_database(charset)
    answers = [(label, label) for label in labels for _ in range(2)]
    project = save(tmp_path / "held", "held", ["v1"], answers)
    place = ("--register", "--tracking-uri", store, "--json")
    first = json.loads(run_mlrek("sync", project, *place).stdout)["versions"][0]
    again = json.loads(run_mlrek("sync", project, *place).stdout)["versions"][0]

    assert first["action"] == "created"
    assert first["model"]["version"] == 1
    assert (again["action"], again["run_id"]) == ("unchanged", first["run_id"])
    found = read_keys(store, first["run_id"])
    assert found == dict.fromkeys(found, 1.0)
    kept = MlflowClient(store).download_artifacts(first["run_id"], "labels.json", str(tmp_path))
    mapped = json.loads(Path(kept).read_text())
    assert {mapped[label]["metric_key"] for label in labels} == found.keys()


def test_the_projects_that_failed_in_the_field_are_logged(run_mlrek, store, tmp_path):
    """A deleted and a purged run of the same version are no obstacle either."""
    project = save(tmp_path / "field", "field", ["v1"], [("a", "A"), ("A", "A")])
    place = ("--tracking-uri", store, "--json")
    first = json.loads(run_mlrek("sync", project, *place).stdout)["versions"][0]
    MlflowClient(store).delete_run(first["run_id"])
    shutil.rmtree(tmp_path / "none", ignore_errors=True)
    again = json.loads(run_mlrek("sync", project, *place).stdout)["versions"][0]

    assert again["action"] == "created"
