"""Rebuild this folder, byte for byte: `python examples/automl-flowers/make.py [FOLDER]`.

Computes from the scores of the test images (`image_classification_1.jsonl`) and their true labels
(`export_data.csv`) what the API of Google's AutoML Vision answered about a model. README.md says
what is real and what is made. Nothing here needs mlrek.
"""

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "making"))

from automl import LABEL_IDS, LEGACY, Scores, describe_all, describe_label, gather
from files import Json, to_json, write_files

HERE = Path(__file__).parent
SCORES, TRUTH = "image_classification_1.jsonl", "export_data.csv"
LOCATION = "projects/493052112345/locations/us-central1"
MODEL, DATASET = "ICN4021973190427574272", "ICN1907203331211051008"
FIRST_EVALUATION, NEXT_EVALUATION = 7300118446744073, 1000000000000
OTHER_IMAGES = 3299  # in the data set, beside the test images
IMPORTED, TRAINED = "2019-10-01T09:02:13.407518Z", "2019-10-02T18:20:41.512347Z"


def main(arguments: list[str]) -> None:
    """Write the folder named by the first argument, or the one of this script."""
    folder = Path(arguments[0]) if arguments else HERE
    write_files(folder, build_files(), owned=("*.json",))


def build_files() -> Mapping[str, bytes]:
    """Every file by its path in the folder; scores and true labels come back unchanged."""
    scores = read_scores()
    return {
        **{name: (HERE / name).read_bytes() for name in (SCORES, TRUTH)},
        "get_dataset.json": to_json(describe_dataset(len(scores.y_true))),
        "get_model.json": to_json(describe_model()),
        "list_model_evaluations.json": to_json({"modelEvaluation": list_evaluations(scores)}),
    }


def read_scores() -> Scores:
    """The scores in the order of the true labels."""
    truth = {uri: label for _, uri, label in csv.reader((HERE / TRUTH).read_text().splitlines())}
    lines = [json.loads(line) for line in (HERE / SCORES).read_text().splitlines()]
    return gather(
        truth,
        {
            line["ID"]: {
                a["display_name"]: a["classification"]["score"] for a in line["annotations"]
            }
            for line in lines
        },
    )


def list_evaluations(scores: Scores) -> list[Json]:
    """The evaluation over all labels, and one for each label."""
    ids = list(LABEL_IDS.values())
    metrics = describe_all(scores, LEGACY) | {
        "annotationSpecId": ids,
        "confusionMatrix": {
            "annotationSpecId": ids,
            "displayName": list(LABEL_IDS),
            "row": [{"exampleCount": row} for row in scores.count_confusion()],
        },
    }
    return [
        _describe_evaluation(0, len(scores.y_true), metrics),
        *(
            {"annotationSpecId": label_id, "displayName": label}
            | _describe_evaluation(
                number,
                int(scores.of_label(label).is_true.sum()),
                describe_label(scores, label, LEGACY) | {"annotationSpecId": [label_id]},
            )
            for number, (label, label_id) in enumerate(LABEL_IDS.items(), start=1)
        ),
    ]


def describe_model() -> Json:
    """The model, as the API shows it."""
    return {
        "name": f"{LOCATION}/models/{MODEL}",
        "displayName": "cloud_model",
        "datasetId": DATASET,
        "createTime": TRAINED,
        "updateTime": TRAINED,
        "deploymentState": "UNDEPLOYED",
        "imageClassificationModelMetadata": {
            "modelType": "cloud",
            "stopReason": "MODEL_CONVERGED",
            "trainBudgetMilliNodeHours": "8000",
            "trainCostMilliNodeHours": "7400",
            "nodeQps": 3.2,
        },
    }


def describe_dataset(test_images: int) -> Json:
    """The data set, as the API shows it."""
    return {
        "name": f"{LOCATION}/datasets/{DATASET}",
        "displayName": "flowers",
        "createTime": IMPORTED,
        "exampleCount": OTHER_IMAGES + test_images,
        "imageClassificationDatasetMetadata": {"classificationType": "MULTICLASS"},
    }


def _describe_evaluation(number: int, examples: int, metrics: Json) -> Json:
    evaluation = FIRST_EVALUATION + number * NEXT_EVALUATION
    return {
        "name": f"{LOCATION}/models/{MODEL}/modelEvaluations/{evaluation}",
        "createTime": TRAINED,
        "evaluatedExampleCount": examples,
        "classificationEvaluationMetrics": metrics,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
