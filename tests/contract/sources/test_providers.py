"""What holds for the files of every provider alike, in a folder and in S3."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from mlrek.errors import EvaluationError, MlrekError, SourceError
from mlrek.sources import open_source
from mlrek.sources.archive import write_archive

EXAMPLES = Path(__file__).parents[3] / "examples"

# For each provider an example, and a file of its evaluation that is not there for people only.
PROVIDERS = {
    "digits": "EvaluationResultSummary-digits-v2-linear.json",
    "multilabel": "EvaluationResultSummary-digit-pairs-v2-halves.json",
    "lookout-classification": "EvaluationResult-eights-2.json",
    "lookout-segmentation": "EvaluationResult-cookies-2.json",
    "automl-flowers": "list_model_evaluations.json",
    "vertex": "v2/list_model_evaluations.json",
}
BROKEN = {
    "empty": lambda _: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "brace": lambda _: b"{",
    "null": lambda _: b"null",
    "list": lambda _: b"[]",
    "number": lambda _: b"7",
    "page": lambda _: b"<html><body>503</body></html>",
    "utf16": lambda whole: whole.decode().encode("utf-16"),
    "nul": lambda whole: b"\0" + whole,
    "deep": lambda _: b"[" * 100_000,
}


def _files(name):
    """The data of an example by path."""
    folder = EXAMPLES / name
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in {".py", ".md", ".pyc"}
    }


def _find(files, ending):
    (path,) = [path for path in files if path.endswith(ending)]
    return path


def _load_all(source):
    return [source.load(entry) for entry in source.list_versions()]


def _plain(value, place=""):
    """Anything of an evaluation as plain values, without the place that it was read from."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind, value.tolist().__repr__()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name), place) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item, place) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, place) for item in value]
    if isinstance(value, str):
        return re.sub(rf"{re.escape(place)}/?", "", value) if place else value
    return value


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_folder_and_an_s3_prefix_give_the_same(name, save):
    """Whatever the provider: every column, number and warning."""
    folder = str(EXAMPLES / name)
    source = save(_files(name))
    found = [_plain(evaluation, source.uri) for evaluation in _load_all(source)]
    assert found == [_plain(evaluation, folder) for evaluation in _load_all(open_source(folder))]
    assert found


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_archive_gives_the_same(name, tmp_path):
    """All that an evaluation consists of is there, wherever it came from."""
    live = open_source(str(EXAMPLES / name))
    saved = write_archive(live, tmp_path / "kept")
    assert {version.action for version in saved} == {"saved"}
    kept = open_source(str(tmp_path / "kept"))
    for ours, theirs in zip(_load_all(kept), _load_all(live), strict=True):
        for part in ("version", "task", "labels", "images", "truth", "records", "reported"):
            assert _plain(getattr(ours, part)) == _plain(getattr(theirs, part)), part
    again = write_archive(live, tmp_path / "kept")
    assert {version.action for version in again} == {"unchanged"}


def test_all_providers_are_read_from_one_tree():
    """Projects and versions of every service, however they are saved."""
    entries = open_source(str(EXAMPLES)).list_versions()
    found = {(e.version.project.provider.value, e.version.project.name) for e in entries}
    assert found >= {
        ("rekognition", "digits"),
        ("rekognition", "digit-pairs"),
        ("rekognition", "digit-scenes"),
        ("lookoutvision", "eights"),
        ("lookoutvision", "cookies"),
        ("automl-vision", "flowers"),
        ("vertex-ai", "flowers"),
    }
    assert not [entry.refused for entry in entries if entry.refused]


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_broken_file_harms_no_other_version(name, kind, tmp_path):
    """It is said of its own version, in one line, and every other one is read."""
    files = _files(name)
    path = _find(files, PROVIDERS[name])
    files[path] = BROKEN[kind](files[path])
    for file, content in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(content)
    source = open_source(str(tmp_path))
    whole = open_source(str(EXAMPLES / name)).list_versions()
    outcomes = _try_all(source)
    n_good = sum(outcome == "" for outcome in outcomes)
    assert n_good >= len(whole) - 1
    assert all("\n" not in outcome for outcome in outcomes)


def _try_all(source):
    """For each version what is wrong with it, '' for nothing."""
    try:
        entries = source.list_versions()
    except MlrekError as exc:
        return [str(exc)]
    outcomes = []
    for entry in entries:
        try:
            source.load(entry)
        except (SourceError, EvaluationError) as exc:
            outcomes.append(str(exc))
        else:
            outcomes.append("")
    return outcomes


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_denied_file_harms_no_other_version(name, s3_server):
    """S3 says 403 of one file: its version fails, the others are read."""
    files = _files(name)
    path = _find(files, PROVIDERS[name])
    for file, content in files.items():
        s3_server.put("saved", file, content)
    s3_server.proxy.fail(path.rpartition("/")[2], 403, "AccessDenied")
    outcomes = _try_all(open_source("s3://saved"))
    assert [outcome for outcome in outcomes if "access denied" in outcome]
    if len(open_source(str(EXAMPLES / name)).list_versions()) > 1 and name != "vertex":
        assert "" in outcomes


@pytest.mark.parametrize("name", [name for name in PROVIDERS if "-" in name or name == "vertex"])
def test_names_of_files_do_not_matter(name, tmp_path):
    """Recognised by content, unless a description next to them names them."""
    for number, (file, content) in enumerate(_files(name).items()):
        path = tmp_path / file
        kept = path.name if path.suffix == ".png" or "predictions" in file else f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / kept).write_bytes(content)
    ours, theirs = (
        [e.version.arn for e in open_source(place).list_versions()]
        for place in (str(tmp_path), str(EXAMPLES / name))
    )
    assert ours == theirs
