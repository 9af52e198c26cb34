"""Every parser of bytes that come from outside, with real bytes to begin from."""

import json
from collections.abc import Callable
from pathlib import Path

from builders.tables import write_parquet

from mlrek.errors import UsageError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.coco import read_coco_answers, read_coco_truth
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.google.collection import collect_google
from mlrek.formats.google.documents import GoogleRole
from mlrek.formats.google.evaluation import parse_google
from mlrek.formats.lookout import (
    Document,
    LookoutInput,
    parse_description,
    parse_lookout_evaluation,
)
from mlrek.formats.predictions.responses import parse_responses
from mlrek.formats.rekognition import ManifestInput, parse_evaluation, parse_summary
from mlrek.formats.stored import load_stored
from mlrek.formats.tables import (
    read_label_map,
    read_table_answers,
    read_table_truth,
    read_thresholds,
)
from mlrek.formats.truth import parse_ground_truth
from mlrek.formats.yolo import read_yolo_answers, read_yolo_truth
from mlrek.policy.parsing import parse_policy
from mlrek.sources.description import parse_version

ROOT = Path(__file__).parents[2]
DATA, EXAMPLES = ROOT / "tests" / "data", ROOT / "examples"
MAX_SEED = 6000

Parser = Callable[[bytes], object]

ARN = "arn:aws:rekognition:us-east-1:111122223333:project/pets/1690474772815"
PROJECT = Project(provider=Provider.REKOGNITION, arn=ARN, name="pets")
VERSION = Version(project=PROJECT, arn=f"{ARN}/version/v1/1", name="v1")


def _lines(data: bytes) -> ManifestInput:
    return ManifestInput(uri="x", chunks=[data])


def _text(parse: Callable[..., object]) -> Parser:
    """A parser of text: what is no UTF-8 is refused where the file is read."""

    def parse_bytes(data: bytes) -> object:
        try:
            text = data.decode()
        except UnicodeDecodeError as exc:
            raise UsageError("x: no UTF-8") from exc
        return parse(text, uri="x")

    return parse_bytes


def _parse_google(data: bytes) -> object:
    collection = collect_google({"d/1.json": data}, {"d/2.jsonl": GoogleRole.PREDICTIONS})
    return [parse_google(version, lambda _: [data]) for version in collection.versions]


def _parse_google_truth(data: bytes) -> object:
    document = (EXAMPLES / "automl-flowers" / "list_model_evaluations.json").read_bytes()
    collection = collect_google({"d/1.json": document}, {"d/2.csv": GoogleRole.TRUTH})
    return [parse_google(version, lambda _: [data]) for version in collection.versions]


def _parse_mask(data: bytes) -> object:
    manifest = LookoutInput(uri="x", chunks=[_MASKED], read_masks=lambda uris: [data for _ in uris])
    return parse_lookout_evaluation(VERSION, manifest=manifest)


def _parse_manifest(data: bytes, *, skip: bool = False) -> object:
    return parse_evaluation(VERSION, manifest=_lines(data), skip_bad_lines=skip)


def _parse_answers(data: bytes) -> object:
    """After a line of a moderation adapter, by which its manifest is known."""
    return parse_evaluation(VERSION, manifest=_lines(_MODERATED + data))


def _file(data: bytes) -> Files:
    return Files(uri="x", names=(ITSELF,), read=lambda _: [data])


def _folder(contents: dict[str, bytes]) -> Files:
    return Files(uri="x", names=tuple(sorted(contents)), read=lambda name: [contents[name]])


def _parse_coco_truth(data: bytes) -> object:
    truth = read_coco_truth(_file(data))
    return truth if truth.find_masks is None else truth.find_masks()


_COLORS = {
    "type": "groundtruth/semantic-segmentation",
    "internal-color-map": {"0": {"class-name": "scratch", "hex-color": "#ff0000"}},
}
_MASKED = json.dumps(
    {
        "source-ref": "s3://b/1.jpg",
        "x-detected": 1,
        "x-detected-metadata": {"class-name": "anomaly", "confidence": 0.9},
        "anomaly-mask-ref": "s3://b/true.png",
        "anomaly-mask-ref-metadata": _COLORS,
        "anomaly-mask-ref-detected": "s3://b/found.png",
        "anomaly-mask-ref-detected-metadata": _COLORS,
    }
).encode()
_MODERATED = b'{"source-ref": "s3://b/0.jpg", "detect-moderation-labels": {}}\n'


PARSERS: dict[str, Parser] = {
    "rekognition manifest": _parse_manifest,
    "rekognition manifest, bad lines left out": lambda data: _parse_manifest(data, skip=True),
    "rekognition summary": lambda data: parse_summary("x", data),
    "rekognition description": lambda data: parse_version(data, uri="x", project=PROJECT),
    "moderation answers": _parse_answers,
    "lookout manifest": lambda data: parse_lookout_evaluation(
        VERSION, manifest=LookoutInput(uri="x", chunks=[data])
    ),
    "lookout result": lambda data: parse_lookout_evaluation(
        VERSION, result=Document(uri="x", data=data)
    ),
    "lookout description": lambda data: parse_description("x", data),
    "lookout mask": _parse_mask,
    "google documents": _parse_google,
    "google truth": _parse_google_truth,
    "ground truth": lambda data: parse_ground_truth(_lines(data)),
    "ground truth, bad lines left out": lambda data: parse_ground_truth(
        _lines(data), skip_bad_lines=True
    ),
    "responses": lambda data: parse_responses(_lines(data)),
    "stored evaluation": load_stored,
    "policy": _text(parse_policy),
    "coco truth": _parse_coco_truth,
    "coco answers": lambda data: read_coco_answers(_file(data)),
    "yolo truth": lambda data: read_yolo_truth(_folder({"labels/a.txt": data})),
    "yolo answers": lambda data: read_yolo_answers(_folder({"a.txt": data})),
    "yolo names": lambda data: read_yolo_truth(_folder({"data.yaml": data, "a.txt": b""})),
    "picture of yolo": lambda data: read_yolo_truth(_folder({"a.jpg": data, "a.txt": b""})),
    "label map": lambda data: read_label_map(data, "x"),
    "thresholds": lambda data: read_thresholds(data, "x"),
    "table of answers": lambda data: read_table_answers(_file(data)),
    "table of truth": lambda data: read_table_truth(_file(data)),
}


def read_seeds() -> list[bytes]:
    """Real files, or their first lines: anything that some parser reads."""
    places = (
        *(DATA / "rekognition-guide").glob("*.json*"),
        *(DATA / "google").glob("*/*.json*"),
        *(DATA / "l4v-cookie").glob("*.manifest"),
        *(DATA / "l4v-cookie").glob("dummy*.png"),
        *(EXAMPLES / "digits" / "versions" / "v2-linear").glob("*.json"),
        *(EXAMPLES / "detection" / "versions" / "v1-linear").glob("*.json"),
        *(EXAMPLES / "lookout-segmentation").glob("*-1.json"),
        *EXAMPLES.glob("lookout-classification/describe-model.json"),
        EXAMPLES / "policy.toml",
    )
    files = [_shorten(place.read_bytes()) for place in sorted(places)]
    return [*files, (DATA / "stored" / "evaluation-schema-1.parquet").read_bytes(), *_SMALL]


def _shorten(content: bytes) -> bytes:
    """So many lines, or all of a document that has no lines."""
    if len(content) <= MAX_SEED:
        return content
    end = content.rfind(b"\n", 0, MAX_SEED)
    return content[: end + 1] if end > 0 else content


_GROUND_TRUTH: tuple[dict[str, object], ...] = (
    {
        "animal": 1,
        "animal-metadata": {"class-name": "cat", "type": "groundtruth/image-classification"},
    },
    {
        "animals": [0, 1],
        "animals-metadata": {
            "class-map": {"0": "cat", "1": "dog"},
            "type": "groundtruth/image-classification-multilabel",
        },
    },
    {
        "box": {
            "image_size": [{"width": 9, "height": 9, "depth": 3}],
            "annotations": [{"class_id": 0, "left": 1, "top": 1, "width": 2, "height": 2}],
        },
        "box-metadata": {
            "class-map": {"0": "cat"},
            "type": "groundtruth/object-detection",
            "objects": [{"confidence": 1}],
        },
    },
)
_SMALL = (
    *(json.dumps({"source-ref": "s3://b/1.jpg", **line}).encode() for line in _GROUND_TRUTH),
    b'{"image": "s3://b/1.jpg", "CustomLabels": [{"Name": "cat", "Confidence": 97.5}]}\n',
    b"old,new\ncat,kitten\n",
    b"label,threshold\ncat,0.5\ndog,0.75\n",
    b'image;class;score\n1.jpg;"a ""cat""";0,5\n2.jpg;dog;0,75\n',
    b"image,truth,predicted,score_cat,score_dog\n1,cat,cat,90,10\n2,dog,cat,60.5,39.5\n",
    b"image,truth_cat,truth_dog\n1,1,0\n2,true,false\n",
    b"image,label,confidence,xmin,ymin,xmax,ymax\n1,cat,0.5,1,2,3,4\n2,dog,1,5,6,7.5,9\n",
    b'{"image": "1", "label": ["cat", "dog"], "confidence": [0.5, 1]}\n{"image": "2"}\n',
    b"image,predicted,truth,confidence,outcome\n1,cat,(none),0.5,no truth\n2,cat,cat,1,correct\n",
    (
        b'{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 8}], "annotations": ['
        b'{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4.5], "iscrowd": 1,'
        b'"segmentation": {"size": [8, 9], "counts": [20, 5, 47]}}, {"id": 2, "image_id": 1, '
        b'"category_id": 2, "bbox": [1, 1, 5, 5], "segmentation": [[1, 1, 6, 1, 6, 6]]}, {"id": 3, '
        b'"image_id": 1, "category_id": 2, "segmentation": {"size": [8, 9], "counts": "V1k0"}}], '
        b'"categories": [{"id": 2, "name": "cat"}]}'
    ),
    (
        b'[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}, {"image_id": 1,'
        b'"category_id": 2, "score": 1, "bbox": [1, 1, 2, 2]}]'
    ),
    (
        b'[{"image_id": 1, "category_id": 2, "score": 0.5, "segmentation": {"size": [8, 9], '
        b'"counts": [20, 5, 47]}}, {"image_id": 1, "category_id": 2, "score": 0.5, "segmentation": '
        b'{"size": [8, 9], "counts": "d01g1"}}]'
    ),
    b"0 0.5 0.5 0.25 0.25 0.75\n1 0.1 0.2 0.1 0.1 1\n",
    b"0 0.5 0.5 0.25 0.25\n",
    b"names:\n  0: cat\n  1: dog\nnc: 2\n",
    write_parquet({"image": ["1", "2"], "label": ["cat", "dog"], "confidence": [0.5, 1.0]}),
)
