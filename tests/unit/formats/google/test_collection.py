"""Which versions a tree of Google's files holds, their names, and which files are theirs."""

import json
import re

import pytest

from mlrek.evaluation import Provider
from mlrek.formats.google.documents import GoogleRole
from mlrek.sources import open_source

LOCATION = "projects/493052112345/locations/us-central1"
LEGACY = f"{LOCATION}/models/ICN4021"
VERTEX = f"{LOCATION}/models/8321"
AREA = {"auPrc": 0.9}
PREDICTION = (
    {
        "instance": {"content": "gs://b/1"},
        "prediction": {"displayNames": ["a"], "confidences": [1]},
    },
)
TRUTH = "TEST,gs://b/1,a"


@pytest.fixture
def legacy_model():
    """A model of the legacy service."""

    def make(name=LEGACY, **fields) -> dict:
        own = {
            "displayName": "cloud_model",
            "datasetId": "ICN19",
            "createTime": "2019-10-02T18:20:41Z",
        }
        return {"name": name, **own, **fields}

    return make


@pytest.fixture
def dataset():
    """The data set of a legacy model."""
    return {
        "name": f"{LOCATION}/datasets/ICN19",
        "displayName": "flowers",
        "exampleCount": 3666,
        "imageClassificationDatasetMetadata": {"classificationType": "MULTICLASS"},
    }


def arns(collection) -> list[str]:
    """The versions, without their location."""
    return [
        version.version.arn.removeprefix(f"{LOCATION}/models/") for version in collection.versions
    ]


def parts(version, role) -> tuple[str, ...]:
    """The version's files of one kind."""
    return version.names_of(role)


def test_legacy_identity(collect, legacy, legacy_model, dataset):
    """A legacy model is a version of its data set, trained when it was created."""
    metadata = {"modelType": "cloud", "trainCostMilliNodeHours": "7400"}
    model = legacy_model(deploymentState="UNDEPLOYED", imageClassificationModelMetadata=metadata)
    (found,) = collect({"e.json": legacy(AREA), "m.json": model, "d.json": dataset}).versions
    version = found.version
    assert version.project.provider is Provider.AUTOML
    assert version.project.arn == f"{LOCATION}/datasets/ICN19"
    assert (version.project.name, version.name) == ("flowers", "cloud_model")
    assert (version.arn, version.status) == (LEGACY, "UNDEPLOYED")
    assert version.training_end_ms == 1570040441000  # 2019-10-02T18:20:41Z
    assert version.billable_minutes == pytest.approx(444)  # 7.4 node hours
    assert found.warnings == ()


def test_legacy_without_its_model(collect, legacy):
    """Without the model's JSON the model is a project of its own, and a warning says so."""
    (found,) = collect({"e.json": legacy(AREA)}).versions
    assert (found.version.project.arn, found.version.name) == (LEGACY, "ICN4021")
    assert found.version.training_end_ms == 1570040441512
    assert any("models.get" in warning for warning in found.warnings)
    assert any("time of its evaluation stands for it" in warning for warning in found.warnings)


def test_legacy_without_its_data_set(collect, legacy, legacy_model):
    """Without the data set's JSON the project has the name of its id."""
    (found,) = collect({"e.json": legacy(AREA), "m.json": legacy_model()}).versions
    assert found.version.project.arn == f"{LOCATION}/datasets/ICN19"
    assert found.version.project.name == "ICN19"


def test_enum_numbers_of_the_client_library(collect, legacy, legacy_model, dataset):
    """The client library writes enums as numbers."""
    kind = {"classificationType": 2}
    files = {
        "e.json": legacy(AREA),
        "m.json": legacy_model(deploymentState=1),
        "d.json": dataset | {"imageClassificationDatasetMetadata": kind},
    }
    (found,) = collect(files).versions
    assert (found.version.status, found.numbers.task.value) == ("DEPLOYED", "multilabel")


def test_models_of_one_name(collect, legacy_model):
    """Models that share a name in their data set are told apart by their training."""
    files = {
        "m.json": {
            "model": [
                legacy_model(),
                legacy_model(f"{LOCATION}/models/ICN5", createTime="2019-11-02T18:20:41Z"),
                legacy_model(f"{LOCATION}/models/ICN6", displayName="other"),
            ]
        }
    }
    assert [version.version.name for version in collect(files).versions] == [
        "cloud_model 2019-10-02T18:20:41Z",
        "other",
        "cloud_model 2019-11-02T18:20:41Z",
    ]


def test_model_without_an_evaluation(collect, legacy_model):
    """A model without a saved evaluation is listed, with the reason why nothing is logged."""
    (found,) = collect({"m.json": legacy_model()}).versions
    assert found.skipped == "no evaluation of it is saved here (models.evaluations.list)"
    assert json.loads(found.description)["displayName"] == "cloud_model"


def test_description_is_unchanged(collect, vertex_model):
    """A version's description keeps its bytes, with the user's own keys."""
    text = json.dumps(vertex_model(labels={"my_team": "vision"}), indent=3).encode()
    (found,) = collect({"m.json": text}).versions
    assert found.description == text


def test_keys_of_a_users_own_are_not_respelled(collect, vertex_model):
    """Of a description in a client library's spelling only Google's own keys change theirs."""
    model = vertex_model(labels={"my_team": "vision"})
    text = json.dumps(model).replace("displayName", "display_name").encode()
    (found,) = collect({"m.json": text}).versions
    assert json.loads(found.description) == model


def test_vertex_identity(collect, vertex, vertex_model):
    """A version of a registered model: its number, aliases and training."""
    pipeline = {
        "name": f"{LOCATION}/trainingPipelines/77",
        "startTime": "2025-06-20T05:00:00Z",
        "endTime": "2025-06-20T07:40:00Z",
        "trainingTaskInputs": {"multiLabel": True},
        "trainingTaskMetadata": {"costMilliNodeHours": "8000"},
    }
    model = vertex_model(
        trainingPipeline=pipeline["name"], dataStats={"trainingDataItemsCount": "2936"}
    )
    (found,) = collect({"e.json": vertex(AREA), "m.json": model, "p.json": pipeline}).versions
    version = found.version
    assert version.project.provider is Provider.VERTEX
    assert (version.project.arn, version.project.name) == (VERTEX, "flowers")
    assert (version.arn, version.name, version.status) == (f"{VERTEX}@2", "2", "default")
    assert version.training_start_ms == 1750395600000  # 2025-06-20T05:00:00Z
    assert version.training_end_ms == 1750405200000  # 2025-06-20T07:40:00Z
    assert version.billable_minutes == pytest.approx(480)
    assert found.numbers.task.value == "multilabel"
    assert found.numbers.reported.train_images == 2936


def test_versions_of_one_model_are_of_one_project(collect, vertex_model):
    """A model that was renamed has one name: that of its default version."""
    models = [vertex_model("1", displayName="old"), vertex_model("2", displayName="new")]
    found = collect({"m.json": {"models": models}}).versions
    assert {version.version.project.name for version in found} == {"new"}


def test_training_of_another_version(collect, vertex_model):
    """A training that began after the version was made is not its own; it tells a missing end."""
    pipeline = {
        "name": f"{LOCATION}/trainingPipelines/77",
        "startTime": "2025-07-01T00:00:00Z",
        "endTime": "2025-07-01T01:00:00Z",
    }
    later = vertex_model(trainingPipeline=pipeline["name"])
    other = vertex_model("3", created=None, trainingPipeline=pipeline["name"])
    found = collect({"m.json": {"models": [later, other]}, "p.json": pipeline}).versions
    assert [one.version.training_start_ms for one in found] == [None, 1751328000000]
    assert found[1].version.training_end_ms == 1751331600000


@pytest.mark.parametrize("listed", ["models", "model", None])
def test_models_in_lists_or_alone(collect, vertex_model, listed):
    """A model is found in an answer with a list, in a plain list, and alone."""
    content = {listed: [vertex_model()]} if listed else [vertex_model()]
    assert arns(collect({"x.json": content, "y.json": vertex_model("1")})) == ["8321@1", "8321@2"]


def test_listed_model_is_its_default_version(collect, vertex_model):
    """`models.list` leaves the version out of the name, but tells its number."""
    listed = vertex_model() | {"name": VERTEX}
    assert arns(collect({"list.json": {"models": [listed]}, "get.json": vertex_model()})) == [
        "8321@2"
    ]


def test_version_by_alias(collect, vertex, vertex_model):
    """An evaluation that names its version by an alias is of that version."""
    files = {"e.json": vertex(AREA, model=f"{VERTEX}@default"), "m.json": vertex_model()}
    assert arns(collect(files)) == ["8321@2"]


def test_unnamed_version_by_the_model_beside(collect, vertex, vertex_model):
    """An evaluation that leaves its version out is of the only one described in its folder."""
    files = {
        "versions/1/version.json": vertex_model("1"),
        "versions/1/e.json": vertex(AREA, model=VERTEX),
        "versions/2/version.json": vertex_model("2"),
    }
    first, second = collect(files).versions
    assert (first.version.name, bool(first.numbers), first.warnings) == ("1", True, ())
    assert second.skipped


def test_unnamed_version_by_time(collect, vertex, vertex_model):
    """Else it is of the version whose training ended about when it was made."""
    files = {
        "list.json": {
            "models": [vertex_model("1", created="2025-03-11T10:01:00Z"), vertex_model()]
        },
        "v1/e.json": vertex(AREA, model=VERTEX, createTime="2025-03-11T10:02:54Z"),
    }
    first, second = collect(files).versions
    assert (first.version.name, bool(first.numbers)) == ("1", True)
    assert any("within an hour" in warning for warning in first.warnings)
    assert second.numbers is None


def test_unnamed_version_by_default(collect, vertex, vertex_model):
    """Else it is of the default one, as when the service is asked so; a warning tells."""
    files = {
        "list.json": {
            "models": [vertex_model("1", created="2025-03-11T10:01:00Z"), vertex_model()]
        },
        "e.json": vertex(AREA, model=VERTEX, createTime="2025-05-01T00:00:00Z"),
    }
    (found,) = [version for version in collect(files).versions if version.numbers]
    assert found.version.name == "2"
    assert any("default one, 2" in warning for warning in found.warnings)


def test_unnamed_version_of_an_unknown_model(collect, vertex):
    """Without any model's JSON the version is called by the alias."""
    collection = collect({"e.json": vertex(AREA, model=VERTEX)})
    assert arns(collection) == ["8321@default"]
    assert any("default" in warning for warning in collection.versions[0].warnings)


def test_older_than_the_only_version(collect, vertex, vertex_model):
    """An evaluation made before the only described version was trained is doubted aloud."""
    files = {
        "m.json": vertex_model(),
        "e.json": vertex(AREA, model=VERTEX, createTime="2024-01-01T00:00:00Z"),
    }
    (found,) = collect(files).versions
    assert any("older than that" in warning for warning in found.warnings)


def test_project_number_and_id(collect, vertex, vertex_model):
    """A project's id and its number in the name of one model are the same project."""
    model = vertex_model()
    model["name"] = model["name"].replace("493052112345", "my-project")
    assert arns(collect({"e.json": vertex(AREA), "m.json": model})) == ["8321@2"]


def test_models_of_two_projects(collect, vertex_model):
    """Models of one id in two projects stay two."""
    other = vertex_model()
    other["name"] = other["name"].replace("493052112345", "99")
    assert len(collect({"a.json": vertex_model(), "b.json": other}).versions) == 2


def test_placeholders_take_the_name_of_the_slices_beside(data, collect):
    """An evaluation copied from a page with MODEL_ID for its id is that of its slices."""
    folder = data / "vertex-docs-flowers"
    (found,) = collect({file.name: file.read_bytes() for file in folder.iterdir()}).versions
    assert found.version.arn.endswith("models/1232584574060974976@default")
    assert found.evaluations[0].id == "1234057709820346880"


def test_newest_evaluation_counts(collect, vertex):
    """Of several evaluations of a version the newest counts, and the others are told."""
    newer = vertex({"auPrc": 0.8}, number="510", createTime="2025-07-01T00:00:00Z")
    (found,) = collect({"e.json": {"modelEvaluations": [newer, vertex(AREA)]}}).versions
    assert found.numbers.reported.aggregate["average_precision"] == 0.8
    assert any("'510' counts; the others: '509'" in warning for warning in found.warnings)


def test_copies_of_an_evaluation(collect, vertex):
    """The same evaluation in two files counts once; another content is told."""
    same = collect({"a.json": vertex(AREA), "b.json": {"modelEvaluations": [vertex(AREA)]}})
    assert (len(same.versions), same.warnings) == (1, ())
    other = collect({"a.json": vertex(AREA), "b.json": vertex({"auPrc": 0.1})})
    assert other.versions[0].numbers.reported.aggregate["average_precision"] == 0.9
    assert any("other content" in warning for warning in other.warnings)


def test_pages_of_a_list(collect, vertex, vertex_slice):
    """The pages of a list are one list."""
    files = {
        "e.json": vertex(AREA),
        "s1.json": {"modelEvaluationSlices": [vertex_slice(AREA, "a")], "nextPageToken": "t"},
        "s2.json": {"modelEvaluationSlices": [vertex_slice(AREA, "b")]},
    }
    (found,) = collect(files).versions
    assert found.numbers.labels == ("a", "b")
    assert not any("nextPageToken" in warning for warning in found.warnings)


def test_missing_page(collect, vertex, vertex_slice):
    """A list whose last page is not there says so."""
    slices = {"modelEvaluationSlices": [vertex_slice(AREA, "a")], "nextPageToken": "t"}
    (found,) = collect({"e.json": vertex(AREA), "s1.json": slices}).versions
    assert any("s1.json" in w and "nextPageToken" in w for w in found.warnings)


def test_slices_that_are_no_labels(collect, vertex, vertex_slice):
    """Slices that a user cut otherwise are left out and counted."""
    cut = vertex_slice(AREA, "night") | {"slice": {"dimension": "slice", "value": "night"}}
    (found,) = collect({"e.json": vertex(AREA), "s.json": [cut]}).versions
    assert found.numbers.labels == ()
    assert any("1 slices are not those of a label" in warning for warning in found.warnings)


def test_renamed_label(collect, vertex, vertex_model):
    """A label whose name differs between versions is told."""

    def matrix(name):
        return {
            "confusionMatrix": {
                "annotationSpecs": [{"id": "1", "displayName": name}],
                "rows": [[1]],
            }
        }

    files = {
        "1.json": vertex(matrix("rose"), model=f"{VERTEX}@1"),
        "2.json": vertex(matrix("roses"), model=f"{VERTEX}@2"),
    }
    (warning,) = collect(files).warnings
    assert re.search("label '1' has several names in its versions: 'rose', 'roses'", warning)


def test_snake_case_is_the_same(collect, legacy, legacy_model, dataset):
    """What a client library wrote in its own spelling gives the same version and numbers."""

    def to_snake(value):
        if isinstance(value, dict):
            return {
                re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", key): to_snake(inner)
                for key, inner in value.items()
            }
        return list(map(to_snake, value)) if isinstance(value, list) else value

    entry = {"confidenceThreshold": 0.5, "recall": 0.5, "precision": 1.0, "truePositiveCount": "5"}
    metrics = {"auPrc": 0.9, "confidenceMetricsEntry": [entry]}
    files = {
        "e.json": {"modelEvaluation": [legacy(metrics), legacy(metrics, "roses")]},
        "m.json": legacy_model(),
        "d.json": dataset,
    }
    camel = collect(files).versions[0]
    snake = collect({name: to_snake(content) for name, content in files.items()}).versions[0]
    assert (camel.version, camel.warnings) == (snake.version, snake.warnings)
    assert camel.numbers.reported.aggregate == snake.numbers.reported.aggregate
    assert camel.numbers.reported.per_label == snake.numbers.reported.per_label


def test_evaluations_of_one_label(collect, legacy):
    """Of evaluations of a label that over all predictions counts; one without metrics is none."""

    def at_one(position, area):
        entry = {"positionThreshold": position, "recall": 1, "precision": 1}
        return {"auPrc": area, "confidenceMetricsEntry": [entry]}

    both = [
        legacy(at_one(2147483647, 0.9), name=f"{LEGACY}/modelEvaluations/1"),
        legacy(at_one(1, 0.5), name=f"{LEGACY}/modelEvaluations/2"),
        legacy(None, name=f"{LEGACY}/modelEvaluations/3"),
        legacy(
            at_one(2147483647, 0.8),
            "RED",
            annotationSpecId="not available",
            name=f"{LEGACY}/modelEvaluations/4",
        ),
    ]
    (found,) = collect({"e.json": {"modelEvaluation": both}}).versions
    assert found.numbers.reported.aggregate["average_precision"] == 0.9
    assert found.numbers.labels == ("RED",)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"confidenceMetrics": [{"precision": 7}]}, "e.json: evaluation '509': precision is 7"),
        ({"auPrc": "much"}, r"e.json: evaluation '509': .*\$.auPrc"),
    ],
)
def test_broken_metrics_refuse_their_version_only(collect, vertex, metrics, reason):
    """Metrics that cannot be read refuse their version; the others of the file are read."""
    broken, sound = vertex(metrics), vertex(AREA, model=f"{VERTEX}@3", number="600")
    first, second = collect({"e.json": {"modelEvaluations": [broken, sound]}}).versions
    assert re.search(reason, first.refused)
    assert second.numbers


def test_metrics_of_another_kind(collect, vertex):
    """Metrics of a text or forecasting model are refused by their schema."""
    schema = "gs://schemas/modelevaluation/forecasting_metrics_1.0.0.yaml"
    (found,) = collect({"e.json": vertex({"rmse": 1}, metricsSchemaUri=schema)}).versions
    assert "forecasting_metrics_1.0.0.yaml" in found.refused


def test_evaluation_without_metrics(collect, legacy):
    """An evaluation without metrics that are read is refused, not passed over."""
    (found,) = collect({"e.json": legacy(None)}).versions
    assert "holds no metrics" in found.refused


@pytest.mark.parametrize(
    "text",
    [
        '{"modelEvaluations": [{"name": "projects/1/locations/l/models/2/evaluations/3"',
        '{"modelEvaluations": [{"name": "not a name"}]}',
        '{"modelEvaluations": [7]}',
        '[{"create_time": 7, "name": "projects/1/locations/l/models/2/evaluations/3"}]',
    ],
)
def test_broken_evaluations_file(collect, text):
    """A broken file of evaluations is a version that is refused, under its file's name."""
    (found,) = collect({"v1/e.json": text}).versions
    assert found.version.arn == "local:project/v1/version/e"
    assert found.refused.startswith("v1/e.json: is not what Google writes")


def test_broken_other_file(collect, vertex):
    """Another broken file is told and spoils nothing."""
    name = f'"name": "{LOCATION}/datasets/5"'
    collection = collect({"d.json": "{" + name + ', "exampleCount": -1}', "e.json": vertex(AREA)})
    assert (len(collection.versions), len(collection.warnings)) == (1, 1)


def test_metrics_alone(collect, data, vertex_model):
    """Metrics without their evaluation are the model's next to them, else have a made-up name."""
    text = (data / "python-aiplatform-fixture" / "metrics.json").read_bytes()
    found = collect({"v/metrics.json": text, "v/model.json": vertex_model()})
    assert (arns(found), bool(found.versions[0].numbers)) == (["8321@2"], True)
    (alone,) = collect({"v/metrics.json": text}).versions
    assert alone.version.arn == "local:project/v/version/metrics"
    assert any("nothing tells which model" in warning for warning in alone.warnings)


@pytest.mark.parametrize(
    ("metrics", "task"),
    [
        ({"confidenceMetricsEntry": [{"recall": 1, "precision": 1}]}, "classification"),
        ({"boundingBoxMetricsEntries": [{"iouThreshold": 0.5}]}, "detection"),
        ({"boundingBoxMetrics": [{"iouThreshold": 0.5}]}, "detection"),
        ({"metrics": {"boundingBoxMetrics": [{"iouThreshold": 0.5}]}}, "detection"),
        ({"classificationEvaluationMetrics": {"confidenceMetricsEntry": []}}, "classification"),
    ],
)
def test_nameless_metrics_of_each_kind(collect, metrics, task):
    """Metrics of either service and kind are read without the resource around them."""
    (found,) = collect({"x.json": metrics}).versions
    assert found.numbers.task.value == task


def test_evaluation_without_a_time(collect, vertex, vertex_model):
    """An evaluation that tells no time is of the default version of several."""
    files = {
        "list.json": {"models": [vertex_model("1"), vertex_model()]},
        "e.json": vertex(AREA, model=VERTEX, createTime=None),
    }
    (found,) = [version for version in collect(files).versions if version.numbers]
    assert found.version.name == "2"


def test_broken_evaluation_beside_another_of_its_label(collect, legacy):
    """Of two evaluations of a label a broken one is not passed over."""
    broken = legacy({"auPrc": 7}, name=f"{LEGACY}/modelEvaluations/1")
    sound = legacy(AREA, name=f"{LEGACY}/modelEvaluations/2")
    (found,) = collect({"e.json": {"modelEvaluation": [broken, sound]}}).versions
    assert "average precision is 7" in found.refused


def test_data_files_of_the_only_version(collect, vertex):
    """Predictions and truth in other folders of the tree are the only version's."""
    files = {
        "evaluations/e.json": vertex(AREA),
        "out/prediction-flowers-2025/predictions_00010.jsonl": PREDICTION,
        "out/prediction-flowers-2025/predictions_00002.jsonl": PREDICTION,
        "export-data/test-1.jsonl": ({"imageGcsUri": "gs://b/1"},),
    }
    (found,) = collect(files).versions
    assert parts(found, GoogleRole.PREDICTIONS) == (
        "out/prediction-flowers-2025/predictions_00002.jsonl",
        "out/prediction-flowers-2025/predictions_00010.jsonl",
    )
    assert parts(found, GoogleRole.TRUTH) == ("export-data/test-1.jsonl",)


def test_data_files_by_folder(collect, vertex):
    """Each version has the predictions of its own folder; they share the truth above."""
    files = {"truth.csv": TRUTH}
    for number in "12":
        files[f"v{number}/e.json"] = vertex(AREA, model=f"{VERTEX}@{number}")
        files[f"v{number}/out/predictions.jsonl"] = PREDICTION
    for found in collect(files).versions:
        folder = f"v{found.version.name}"
        assert parts(found, GoogleRole.PREDICTIONS) == (f"{folder}/out/predictions.jsonl",)
        assert parts(found, GoogleRole.TRUTH) == ("truth.csv",)


def test_nearer_truth_counts(collect, vertex):
    """The truth next to a version's evaluation goes before one further up."""
    files = {"e/e.json": vertex(AREA), "e/p.jsonl": PREDICTION, "e/t.csv": TRUTH, "t.csv": TRUTH}
    collection = collect(files)
    assert parts(collection.versions[0], GoogleRole.TRUTH) == ("e/t.csv",)
    assert any(warning.startswith("t.csv: not used") for warning in collection.warnings)


def test_predictions_by_their_job(collect, vertex, vertex_model):
    """Predictions lie in a folder that their job names, wherever that is."""
    jobs = [
        {
            "name": f"{LOCATION}/batchPredictionJobs/{number}",
            "model": VERTEX,
            "modelVersionId": number,
            "outputInfo": {"gcsOutputDirectory": f"gs://b/out/prediction-flowers-2025-0{number}"},
        }
        for number in "12"
    ]
    files = {
        "e.json": [vertex(AREA, model=f"{VERTEX}@{number}") for number in "12"],
        "jobs.json": {"batchPredictionJobs": jobs},
        "m.json": {"models": [vertex_model("1"), vertex_model("2")]},
        "prediction-flowers-2025-01/predictions_00001.jsonl": PREDICTION,
        "prediction-flowers-2025-02/predictions_00001.jsonl": PREDICTION,
        "t.csv": TRUTH,
    }
    for found in collect(files).versions:
        folder = f"prediction-flowers-2025-0{found.version.name}"
        assert parts(found, GoogleRole.PREDICTIONS) == (f"{folder}/predictions_00001.jsonl",)


def test_predictions_by_the_model_of_their_folder(collect, vertex, vertex_model):
    """In an archive, each version's folder has its description and a copy of the whole list."""
    both = {"modelEvaluations": [vertex(AREA, model=f"{VERTEX}@{number}") for number in "12"]}
    files = {}
    for number in "12":
        files[f"versions/{number}/version.json"] = vertex_model(number)
        files[f"versions/{number}/list.json"] = both
        files[f"versions/{number}/p.jsonl"] = PREDICTION
        files[f"versions/{number}/t.csv"] = TRUTH
    for found in collect(files).versions:
        folder = f"versions/{found.version.name}"
        assert parts(found, GoogleRole.PREDICTIONS) == (f"{folder}/p.jsonl",)
        assert parts(found, GoogleRole.TRUTH) == (f"{folder}/t.csv",)


def test_legacy_predictions_by_the_name_of_their_folder(collect, legacy, legacy_model):
    """The legacy service names the folder of its predictions after the model."""
    other = f"{LOCATION}/models/ICN5"
    files = {
        "e.json": [legacy(AREA), legacy(AREA, model=other)],
        "m.json": [legacy_model(), legacy_model(other, displayName="edge_model")],
        "prediction-edge_model-2019-10-02T18:20:41.5Z/image_classification_1.jsonl": PREDICTION,
        "t.csv": TRUTH,
    }
    found = {one.version.name: one for one in collect(files).versions}
    assert found["edge_model"].has_images
    assert not found["cloud_model"].has_images


def test_ambiguous_predictions(collect, vertex):
    """Predictions that may be of several versions are not used, and that is told."""
    files = {
        "e.json": [vertex(AREA, model=f"{VERTEX}@{number}") for number in "12"],
        "p.jsonl": PREDICTION,
        "t.csv": TRUTH,
    }
    collection = collect(files)
    assert not any(version.has_images for version in collection.versions)
    assert any(w.startswith("p.jsonl: not used, for it may be of") for w in collection.warnings)


def test_homeless_predictions(collect):
    """Predictions without any version near them are told."""
    (warning,) = collect({"p.jsonl": PREDICTION}).warnings
    assert warning.startswith("p.jsonl: not used, for no evaluation is near it")


def test_predictions_without_truth(collect, vertex):
    """Predictions without ground truth are told in the version."""
    (found,) = collect({"e.json": vertex(AREA), "p.jsonl": PREDICTION}).versions
    assert any("no ground truth" in warning for warning in found.warnings)


def test_predictions_without_an_evaluation(collect, vertex_model):
    """A described version with predictions and truth is no skipped one."""
    files = {"m.json": vertex_model(), "p.jsonl": PREDICTION, "t.csv": TRUTH}
    (found,) = collect(files).versions
    assert (found.skipped, found.has_images) == ("", True)


def test_uris_as_names(collect, vertex):
    """Names may be URIs or paths; only their folders count."""
    for root in ("s3://bucket/prefix", "/home/me", "gs://b"):
        files = {
            f"{root}/v1/e.json": vertex(AREA),
            f"{root}/p.jsonl": PREDICTION,
            f"{root}/t.csv": TRUTH,
        }
        assert collect(files).versions[0].has_images


def test_versions_in_training_order(collect, vertex_model):
    """Versions stand by project and training."""
    models = [
        vertex_model("1", created="2025-03-01T00:00:00Z"),
        vertex_model("3", created="2025-02-01T00:00:00Z"),
        vertex_model("2", created="2025-01-01T00:00:00Z"),
    ]
    assert arns(collect({"m.json": {"models": models}})) == ["8321@2", "8321@3", "8321@1"]


def test_list_of_evaluations(vertex, vertex_slice, tmp_path):
    """The list shows an evaluation, its labels, and the others of the version."""
    older = vertex({"auPrc": 0.1}, number="1", createTime="2020-01-01T00:00:00Z")
    entry = {"recall": 1, "truePositiveCount": "4"}
    roses = vertex_slice({"auPrc": 0.7, "confidenceMetrics": [entry]}, "roses")
    matrix = {"annotationSpecs": [{"displayName": "roses"}], "rows": [[4]]}
    files = {"e.json": [older, vertex(AREA | {"confusionMatrix": matrix})], "s.json": [roses]}
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    (entry,) = open_source(str(tmp_path)).list_versions()
    listed = entry.evaluations
    assert [(one.id, one.label) for one in listed] == [("509", ""), ("556", "roses"), ("1", "")]
    assert [one.average_precision for one in listed[:2]] == [0.9, 0.7]
    assert [one.test_images for one in listed[:2]] == [4, 4]
