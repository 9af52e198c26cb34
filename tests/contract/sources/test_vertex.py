"""Vertex AI over HTTP: versions, evaluations, slices, their pages, and whatever goes wrong."""

import json
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.vertex_server import VertexFault

from mlrek.errors import SourceError, SourceNotFoundError, UsageError
from mlrek.evaluation import Provider
from mlrek.sources import open_source
from mlrek.sources.archive import write_archive

MODEL = "projects/my-project/locations/europe-west4/models/8321"
ANSWERED = "projects/493052112345/locations/europe-west4/models/8321"  # numbers are answered
PIPELINE = "projects/493052112345/locations/europe-west4/trainingPipelines/77"


def _metrics(precision, counts=None):
    entries = [
        {"recall": 1, "precision": 0.5},
        {"confidenceThreshold": 0.5, "recall": 0.75, "precision": precision},
    ]
    metrics = {"auPrc": precision, "confidenceMetrics": entries}
    if counts:
        names = [{"id": "1", "displayName": "roses"}, {"id": "2", "displayName": "tulips"}]
        metrics["confusionMatrix"] = {"annotationSpecs": names, "rows": counts}
    return metrics


def _version(number, *, aliases=(), **fields):
    return {
        "name": f"{ANSWERED}@{number}",
        "displayName": "flowers",
        "versionId": str(number),
        "versionAliases": list(aliases),
        "versionCreateTime": f"2025-06-{10 + number}T07:40:00Z",
        **fields,
    }


def _evaluation(number, metrics, *, names_version=True, created="2025-06-20T07:41:09Z"):
    model = f"{ANSWERED}@{number}" if names_version else ANSWERED
    return {
        "name": f"{model}/evaluations/50{number}",
        "metricsSchemaUri": "gs://schemas/modelevaluation/classification_metrics_1.0.0.yaml",
        "metrics": metrics,
        "createTime": created,
    }


def _slices(number):
    return [
        {
            "name": f"{ANSWERED}@{number}/evaluations/50{number}/slices/{i}",
            "slice": {"dimension": "annotationSpec", "value": label},
            "metrics": _metrics(0.9 - i / 10),
        }
        for i, label in enumerate(("roses", "tulips"))
    ]


@pytest.fixture
def flowers(vertex_server):
    """A model with two versions; the second is the default one."""
    vertex_server.add_version(
        _version(1), [_evaluation(1, _metrics(0.8, [[3, 1], [0, 4]]))], _slices(1)
    )
    vertex_server.add_version(
        _version(2, aliases=["default"]),
        [_evaluation(2, _metrics(0.9, [[4, 0], [0, 4]]))],
        _slices(2),
    )
    for name, found in list(vertex_server.lists.items()):
        vertex_server.lists[name.replace(ANSWERED, MODEL)] = found
    for name, found in list(vertex_server.resources.items()):
        vertex_server.resources[name.replace(ANSWERED, MODEL)] = found
    return vertex_server


def _load_all(text):
    source = open_source(text)
    return [source.load(entry) for entry in source.list_versions()]


def test_every_version_has_its_own_numbers(flowers):
    """Each is asked for by its number: without, the service answers for the default one."""
    first, second = _load_all(MODEL)
    assert [e.version.name for e in (first, second)] == ["1", "2"]
    assert first.version.arn == f"{ANSWERED}@1"
    assert first.version.project.arn == ANSWERED
    assert (first.version.project.name, first.version.project.provider) == (
        "flowers",
        Provider.VERTEX,
    )
    assert [e.reported.aggregate["precision"] for e in (first, second)] == [0.8, 0.9]
    assert dict(first.reported.per_label["tulips"])["precision"] == pytest.approx(0.8)
    assert (first.labels, first.reported.test_images) == (("roses", "tulips"), 8)


@pytest.mark.parametrize("size", [1, 2])
def test_all_pages_are_read(flowers, size):
    """Of versions, evaluations and slices alike."""
    whole = [e.reported.per_label for e in _load_all(MODEL)]
    flowers.page_size = size
    assert [e.reported.per_label for e in _load_all(MODEL)] == whole
    assert len(whole[0]) == 2


@pytest.mark.parametrize("version", ["2", "default"])
def test_one_version_is_named_by_number_or_alias(flowers, version):
    """And is one and the same."""
    (found,) = _load_all(f"{MODEL}@{version}")
    assert found.version.arn == f"{ANSWERED}@2"


def test_an_evaluation_that_does_not_name_its_version_is_of_the_one_asked_for(vertex_server):
    """The service may leave the version out of the names."""
    evaluation = _evaluation(1, _metrics(0.8), names_version=False)
    vertex_server.add_version(_version(1), [evaluation])
    vertex_server.add_version(_version(2, aliases=["default"]))
    source = open_source(ANSWERED)
    first, second = source.list_versions()
    assert (first.version.name, first.reported["precision"]) == ("1", 0.8)
    assert second.skipped == "the service has no evaluation of it"
    assert source.load(first).reported.aggregate["precision"] == 0.8


def test_what_the_training_was_asked_for_is_read_too(flowers):
    """It tells when training began, and whether an image has several labels."""
    described = _version(1, trainingPipeline=PIPELINE)
    flowers.lists[f"{MODEL}:listVersions"] = [described]
    flowers.resources[PIPELINE] = {
        "name": PIPELINE,
        "startTime": "2025-06-11T05:00:00Z",
        "trainingTaskInputs": {"multiLabel": False},
    }
    (found,) = _load_all(MODEL)
    assert found.version.training_start_ms == 1749618000000
    assert {file.role for file in found.files} == {"evaluations", "slices", "training_pipelines"}


def test_a_training_that_may_not_be_read_is_a_warning(flowers):
    """The evaluation is there all the same."""
    flowers.lists[f"{MODEL}:listVersions"] = [_version(1, trainingPipeline=PIPELINE)]
    flowers.faults.append(VertexFault("trainingPipelines/77", 403))
    (found,) = _load_all(MODEL)
    assert found.reported.aggregate["precision"] == 0.8
    assert [w for w in found.warnings if "trainingPipelines/77: access denied (403)" in w]


def test_the_threshold_is_the_one_asked_for(flowers):
    """The nearest published one, which a warning names."""
    source = open_source(f"{MODEL}@2")
    found = source.load(source.list_versions()[0], threshold=0.2)
    assert found.reported.aggregate["threshold"] == 0
    assert [w for w in found.warnings if "no numbers at threshold 0.2" in w]


def test_an_archive_holds_what_was_asked_for(flowers, tmp_path):
    """Read from it without the service, everything is the same, byte for byte."""
    live = _load_all(MODEL)
    saved = write_archive(open_source(MODEL), tmp_path / "kept")
    flowers.reset()
    assert [version.action for version in saved] == ["saved", "saved"]
    kept = _load_all(str(tmp_path / "kept"))
    for ours, theirs in zip(kept, live, strict=True):
        assert (ours.version, ours.labels) == (theirs.version, theirs.labels)
        assert (ours.reported.aggregate, ours.reported.per_label, ours.warnings) == (
            theirs.reported.aggregate,
            theirs.reported.per_label,
            theirs.warnings,
        )
        assert {f.sha256 for f in ours.files} == {f.sha256 for f in theirs.files}


def test_an_unchanged_version_has_an_unchanged_state(flowers):
    """Whatever the order of keys in an answer; new numbers are another state."""
    source = open_source(MODEL)
    entry = source.list_versions()[0]
    state = source.read_state(entry)
    (evaluation,) = flowers.lists[f"{ANSWERED}@1/evaluations"]
    flowers.lists[f"{ANSWERED}@1/evaluations"] = [dict(reversed(evaluation.items()))]
    assert source.read_state(entry) == state
    flowers.lists[f"{ANSWERED}@1/evaluations"] = [_evaluation(1, _metrics(0.7))]
    assert source.read_state(entry) != state


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_service_is_asked_again(flowers, status, monkeypatch):
    """Once is nothing to speak of."""
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    flowers.faults += [
        VertexFault(":listVersions", status, times=2),
        VertexFault("/slices", status, times=1),
    ]
    assert [e.version.name for e in _load_all(MODEL)] == ["1", "2"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "Google does not know who asks (401): on demand; run `gcloud auth application-"),
        (403, "access denied (403): on demand; needs aiplatform.models.get"),
        (429, "Google still asks to wait after 5 retries (429): on demand; try again later"),
        (500, "Google answers 500: on demand"),
        (400, "Google answers 400: on demand"),
        (302, "Google answers 302"),
    ],
)
def test_what_the_service_refuses_is_one_line(flowers, status, said, monkeypatch):
    """With the resource's name and what to do."""
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    flowers.faults.append(VertexFault(":listVersions", status))
    with pytest.raises(SourceError) as info:
        open_source(MODEL).list_versions()
    assert str(info.value).startswith(f"{MODEL}:listVersions: {said}")
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}@7"])
def test_a_model_that_is_not_there_is_not_found(vertex_server, name):
    """Nor a version."""
    with pytest.raises(SourceNotFoundError, match=r"Google knows no such thing \(404\)"):
        open_source(name).list_versions()


def test_denied_evaluations_fail_their_version_alone(flowers):
    """The other one is read."""
    flowers.faults.append(VertexFault("@1/evaluations", 403))
    refused, read = open_source(MODEL).list_versions()
    assert "@1/evaluations: access denied (403)" in refused.refused
    assert (refused.skipped, read.refused) == ("", "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"models": 3}', "models is no list"),
        (b"\xff\xfe", "no JSON"),
        (b'{"models": [], "nextPageToken": "0"}', "goes in circles"),
        (b"{}", "has no versions"),
    ],
)
def test_an_odd_answer_is_one_line(flowers, body, said):
    """A proxy's page, or half an answer."""
    flowers.faults.append(VertexFault(":listVersions", 200, body=body))
    with pytest.raises(SourceError, match=said):
        open_source(MODEL).list_versions()


@pytest.mark.parametrize("model", [{}, {"versionId": 7}, {"name": 3, "versionId": []}])
def test_an_odd_version_does_not_break_the_others(flowers, model):
    """It is refused or skipped, in words."""
    flowers.lists[f"{MODEL}:listVersions"] = [model, _version(1)]
    entries = open_source(MODEL).list_versions()
    assert "1" in [entry.version.name for entry in entries if not entry.refused]


def test_nobody_answers(monkeypatch):
    """One line with the address."""
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    monkeypatch.setenv("MLREK_VERTEX_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        open_source(MODEL).list_versions()


def test_no_credentials_are_sent_in_plain_sight(flowers, monkeypatch):
    """Nothing signs a request over http, and no other host is asked that way."""
    _load_all(MODEL)
    assert set(flowers.authorizations) == {""}
    monkeypatch.setenv("MLREK_VERTEX_ENDPOINT", "http://example.org")
    with pytest.raises(SourceError, match="must begin with https://"):
        open_source(MODEL).list_versions()


def test_without_credentials_the_next_step_is_named(monkeypatch, tmp_path):
    """As google-auth finds none."""
    monkeypatch.delenv("MLREK_VERTEX_ENDPOINT", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(SourceError, match="no Google credentials are set up; run `gcloud auth"):
        open_source(MODEL).list_versions()


def test_without_its_packages_it_says_which_to_install(monkeypatch):
    """They are an extra."""
    monkeypatch.setitem(sys.modules, "google.auth.exceptions", None)
    with pytest.raises(SourceError, match=r"pip install 'mlrek\[google\]'"):
        open_source(MODEL).list_versions()


@pytest.mark.parametrize("text", [f"{MODEL}/evaluations/5", f"{MODEL}@", f"{MODEL}@1@2"])
def test_a_name_of_something_else_is_wrong_usage(text):
    """With what it should be."""
    with pytest.raises(UsageError, match="projects/P/locations/L/models/M"):
        open_source(text)


def test_a_source_travels_to_another_process(flowers):
    """As the workers need it."""
    source = pickle.loads(pickle.dumps(open_source(f"{MODEL}@1")))  # noqa: S301 (our own)
    (entry,) = source.list_versions()
    entry = pickle.loads(pickle.dumps(replace(entry)))  # noqa: S301 (our own)
    assert source.load(entry).version.name == "1"


def test_a_version_is_logged_from_the_service(flowers, run_mlrek, tmp_path):
    """The whole command."""
    done = run_mlrek(
        "sync", MODEL, "--json", "--tracking-uri", f"sqlite:///{tmp_path}/m.db", env=flowers.env
    )
    versions = json.loads(done.stdout)["versions"]
    assert [(v["version"], v["action"]) for v in versions] == [("1", "created"), ("2", "created")]
    assert Path(tmp_path, "m.db").exists()
