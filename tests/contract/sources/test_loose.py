"""Files downloaded one by one: what tells their version, and when it was trained."""

import json
import os

import pytest
from fakes.evaluations import make_manifest, make_summary, version_arn

from mlrek.formats.stored import dump_evaluation
from mlrek.sources import open_source
from mlrek.sources.archive import write_archive

START_MS = 1690556751958


def _list_only(folder):
    (entry,) = open_source(str(folder)).list_versions()
    return entry


def test_the_training_ends_with_its_evaluation(tmp_path):
    """Nothing else in the files tells the end, and the run would end today."""
    (tmp_path / "s.json").write_bytes(make_summary(version_arn("v1", START_MS)))
    (tmp_path / "m.json").write_bytes(make_manifest())
    version = _list_only(tmp_path).version

    assert version.training_start_ms == START_MS
    assert version.training_end_ms == 1690558390827  # 2023-07-28T15:33:10.827


def test_a_lone_manifest_asks_for_its_summary(tmp_path):
    """The summary holds the version's ARN."""
    (tmp_path / "m.json").write_bytes(make_manifest())
    (warning,) = _list_only(tmp_path).warnings

    assert "put the version's EvaluationResultSummary-….json beside it" in warning


def test_a_summary_without_an_arn_is_not_asked_for(tmp_path):
    """It is there; what it lacks is said."""
    said = json.loads(make_summary("x"))
    del said["EvaluationDetails"]["ProjectVersionArn"]
    (tmp_path / "s.json").write_text(json.dumps(said))
    (tmp_path / "m.json").write_bytes(make_manifest())
    (warning,) = _list_only(tmp_path).warnings

    assert "beside it" not in warning
    assert "s.json: has no ProjectVersionArn" in warning


def test_a_folder_whose_name_is_no_utf_8_is_read(tmp_path):
    """Nothing of it may end where only text can be: in tags, in files of UTF-8."""
    folder = tmp_path / os.fsdecode(b"gr\xf6\xdfe")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this disk has only names in UTF-8")
    (folder / "m.json").write_bytes(make_manifest())
    source = open_source(str(folder))
    evaluation = source.load(source.list_versions()[0])

    assert len(evaluation.images) == 3
    dump_evaluation(evaluation)
    write_archive(source, tmp_path / "archive")
    for text in (evaluation.version.arn, evaluation.version.project.name, *evaluation.warnings):
        text.encode()
