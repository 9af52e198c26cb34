"""Which source a text names."""

from pathlib import Path

import pytest
from fakes.evaluations import PROJECT_ARN, version_arn

from mlrek.errors import SourceError, SourceNotFoundError, UsageError
from mlrek.sources import SavedVersions, open_source
from mlrek.sources.rekognition_now import LiveProject, LiveVersion, NamedProject

NAMELESS = PROJECT_ARN.rpartition("/")[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PROJECT_ARN, LiveProject),
        (PROJECT_ARN.replace("arn:aws:", "arn:aws-cn:"), LiveProject),
        (PROJECT_ARN.replace("arn:aws:", "arn:aws-us-gov:"), LiveProject),
        (version_arn("v1"), LiveVersion),
        ("s3://bucket", SavedVersions),
        ("s3://bucket/some/prefix/", SavedVersions),
        ("pets", NamedProject),
        ("pets.v-1_2", NamedProject),
    ],
)
def test_the_form_tells_the_source(text, kind, tmp_path, monkeypatch):
    """Nothing is asked or read for it."""
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_source(text).catalogue, kind)


@pytest.mark.parametrize("name", ["pets", "with space", "pets.json"])
def test_a_folder_or_file_comes_before_a_project_name(name, tmp_path, monkeypatch):
    """A folder of that name is what is meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert isinstance(open_source(name).catalogue, SavedVersions)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("arn:aws:lookoutvision:us-east-1:1:model/p/1", "ended on 2025-10-31.*name the folder"),
        ("arn:aws:lookoutvision:us-east-1:1:project/p", "ended on 2025-10-31.*name the folder"),
        ("projects/1/locations/eu/models/2/evaluations/3", "is not the name of a model"),
        (
            f"{PROJECT_ARN.rpartition('/')[0]}/dataset/test/1",
            "not the ARN of a Rekognition project",
        ),
        (NAMELESS, "not the ARN of a Rekognition project"),
        ("arn:aws:sagemaker:us-east-1:1:model/x", "ARNs of Rekognition projects and versions only"),
        ("s3://", "no place mlrek reads from"),
        ("s3:///key", "no place mlrek reads from"),
        ("gs://bucket/x", "no place mlrek reads from"),
        ("https://host/x", "no place mlrek reads from"),
        ("", "names no source"),
    ],
)
def test_what_cannot_be_read_says_what_can(text, advice):
    """Wrong usage, in one line."""
    with pytest.raises(UsageError, match=advice):
        open_source(text)


@pytest.mark.parametrize(
    "text",
    ["./pets", "no/such/folder", "/no/such", "a b", "v1.json", "x.jsonl", "ü", "nul\0", "x" * 5000],
)
def test_a_path_that_is_not_there_is_not_found(text, tmp_path, monkeypatch):
    """No AWS is asked about what cannot be a project's name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFoundError, match="no such file or folder"):
        open_source(text)


def test_a_path_that_may_not_be_looked_at_says_so(monkeypatch):
    """Below a folder that this user may not enter."""

    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(SourceError, match="permission denied; make it readable"):
        open_source("private/folder")
