"""Files downloaded one by one: what tells their version, and when it was trained."""

import bz2
import gzip
import json
import lzma
import os

import pytest
from fakes.evaluations import make_manifest, make_summary, version_arn

from mlrek.errors import ParseError
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

    assert "put the version's EvaluationResultSummary-….json next to it" in warning


def test_a_summary_without_an_arn_is_not_asked_for(tmp_path):
    """It is there; what it lacks is said."""
    said = json.loads(make_summary("x"))
    del said["EvaluationDetails"]["ProjectVersionArn"]
    (tmp_path / "s.json").write_text(json.dumps(said))
    (tmp_path / "m.json").write_bytes(make_manifest())
    (warning,) = _list_only(tmp_path).warnings

    assert "next to it" not in warning
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


# ---- a manifest that tools made something else of --------------------------------------------

LINES = make_manifest(2).decode().splitlines()
VALUES = [json.loads(line) for line in LINES]
OTHER_FORMS = {
    "array": (json.dumps(VALUES), "is a JSON array"),
    "array over lines": (json.dumps(VALUES, indent=2), "is a JSON array"),
    "array of texts": (json.dumps(LINES), "is a JSON array"),
    "array that is cut": (json.dumps(VALUES)[:-99], "is a JSON array"),
    "entries": (json.dumps({"DatasetEntries": LINES}), "is an answer of ListDatasetEntries"),
    "texts": ("\n".join(map(json.dumps, LINES)), "is JSON of another kind"),
    "records of RFC 7464": ("".join(f"\x1e{line}\n" for line in LINES), "is text, not JSON"),
    "packed array": (gzip.compress(json.dumps(VALUES).encode()), "is compressed (gzip)"),
    "UTF-16 array": (json.dumps(VALUES).encode("utf-16"), "is UTF-16 text"),
    "two byte-order marks": (b"\xef\xbb\xbf" * 2 + make_manifest(2), "is text, not JSON"),
}
"""Whose content shows by itself that it is a manifest."""
UNREADABLE = {
    "sign-in page": ("<!DOCTYPE html><html><title>Sign in</title>", "is a web page"),
    "form of single sign-on": ('<form action="https://sso"><input></form>', "is a web page"),
    "S3 listing": ('<?xml version="1.0"?><ListBucketResult/>', "is a listing of an S3 bucket"),
    "zstd": (b"\x28\xb5\x2f\xfd\0\0", "is compressed (Zstandard)"),
    "bz2": (bz2.compress(make_manifest()), "is compressed (bzip2)"),
    "xz": (lzma.compress(make_manifest()), "is compressed (xz)"),
    "LZ4": (b"\x04\x22\x4d\x18" + make_manifest(), "is compressed (LZ4)"),
    "ZIP": (b"PK\x03\x04" + make_manifest(), "is a ZIP archive"),
    "twice packed": (gzip.compress(gzip.compress(make_manifest())), "is compressed (gzip)"),
    "pickle": (b"\x80\x04\x95" + make_manifest(), "is a Python pickle"),
}
"""Whose content tells only that it is no JSON."""
NAMED_ONLY = {
    "Python": ("\n".join(map(repr, VALUES)), "is a Python value (single quotes)"),
    "link of Windows": ("[InternetShortcut]\r\nURL=https://x\r\n", "is text, not JSON"),
    "error of the CLI": ("\nAn error occurred (AccessDenied)", "is text, not JSON"),
    "comment": (f"# test set\n{LINES[0]}\n", "is text, not JSON"),
}


def _save(folder, name, content):
    (folder / "EvaluationResultSummary-pets-v1.json").write_bytes(make_summary(version_arn("v1")))
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)


@pytest.mark.parametrize("name", ["truth.json", "TestingGroundTruth-pets-v1.json"])
@pytest.mark.parametrize(("content", "said"), OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_a_manifest_in_another_form_fails_by_what_it_is(tmp_path, name, content, said):
    """Under any name: its version would else seem to have been tested on no images."""
    _save(tmp_path, name, content)
    refused = [entry.refused for entry in open_source(str(tmp_path)).list_versions()]
    assert any(f"{name}: {said}" in one for one in refused)


@pytest.mark.parametrize(("content", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_nobody_can_read_beside_a_lone_summary_is_told(tmp_path, content, said):
    """It may be the manifest; one of that name fails."""
    _save(tmp_path, "download.json", content)
    (entry,) = open_source(str(tmp_path)).list_versions()
    assert any(f"download.json: {said}" in warning for warning in entry.warnings)

    _save(tmp_path, "TestingGroundTruth-pets-v1.json", content)
    (entry,) = open_source(str(tmp_path)).list_versions()
    assert f"TestingGroundTruth-pets-v1.json: {said}" in entry.refused


@pytest.mark.parametrize(("content", "said"), NAMED_ONLY.values(), ids=NAMED_ONLY)
def test_text_of_another_kind_under_the_services_name_fails(tmp_path, content, said):
    """With what it is."""
    _save(tmp_path, "TestingGroundTruth-pets-v1.json", content)
    (entry,) = open_source(str(tmp_path)).list_versions()
    assert f"TestingGroundTruth-pets-v1.json: {said}" in entry.refused


def test_what_cannot_be_read_beside_a_whole_version_is_no_matter(tmp_path):
    """Nothing of the version is missed."""
    _save(tmp_path, "TestingGroundTruth-pets-v1.json", make_manifest())
    (tmp_path / "report.json").write_bytes(b"<html>")
    assert _list_only(tmp_path).warnings == ()


def test_a_manifest_in_latin_1_says_so(tmp_path):
    """At the first line that shows it."""
    _save(tmp_path, "TestingGroundTruth-pets-v1.json", make_manifest().decode().encode("latin-1"))
    source = open_source(str(tmp_path))
    with pytest.raises(ParseError, match="3: not valid JSON: it is no text in UTF-8; save the"):
        source.load(source.list_versions()[0])
