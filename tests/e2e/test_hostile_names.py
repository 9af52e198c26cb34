"""Names that attack whatever shows or stores them go through everything a sync leaves."""

import csv
import json
import re
from io import StringIO

import pytest
from fakes.evaluations import save_archive

NAMES = {
    "cat": '=HYPERLINK("http://x","<script>alert(1)</script>")',
    "dog": "</script><img src=x onerror=alert(2)>\x1b[2J\u202e../../CON:|%2F{{7*7}}",
}


@pytest.fixture
def saved(tmp_path):
    """A version whose labels, images and own name are of that kind."""
    folder = save_archive(tmp_path / "saved", "v1")
    for file in (file for file in folder.rglob("*.json") if file.is_file()):
        text = file.read_text()
        for plain, hostile in NAMES.items():
            text = text.replace(f'"{plain}"', json.dumps(hostile))
        text = text.replace("a cat.jpg", "a`<b>=1+cmd|' /C calc'!A0\\u001b]0;x\\u0007.jpg")
        file.write_text(text)
    return folder


def test_hostile_names_do_no_harm(warm, saved, tmp_path):
    """Terminal, HTML, CSV, metric keys and file names; nothing is lost: labels.json has them."""
    store = ("--tracking-uri", "sqlite:///mlflow.db")
    runs = [
        warm.run("sync", saved, *store, "-v", cwd=tmp_path),
        warm.run("show", f"{saved}#v1", cwd=tmp_path),
        warm.run("show", f"{saved}#v1", "--label", NAMES["dog"], "--outcome", "fn", cwd=tmp_path),
        warm.run("compare", f"{saved}#v1", f"{saved}#v1", cwd=tmp_path),
        warm.run("versions", saved, cwd=tmp_path),
    ]
    for done in runs:
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert "\u202e" not in done.stdout + done.stderr

    (artifacts,) = tmp_path.glob("mlruns/*/*/artifacts")
    page = (artifacts / "report.html").read_text()
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    for file in artifacts.glob("*.csv"):
        cells = [cell for row in csv.reader(StringIO(file.read_text(), newline="")) for cell in row]
        assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-(?![\d.])", cell)]
    for file in artifacts.rglob("*"):
        assert re.fullmatch(r"[\w .()~+%#-]+", file.name)
    assert set(NAMES.values()) <= set(_strings(json.loads((artifacts / "labels.json").read_text())))


def test_no_name_gives_github_an_order(warm, tmp_path):
    """A label, a version and a project that look like workflow commands, on every command."""
    folder = save_archive(tmp_path / "saved", "::error::v1", "::error::v2")
    for file in (file for file in folder.rglob("*.json") if file.is_file()):
        file.write_text(file.read_text().replace('"cat"', '"::add-mask::cat"'))
    project = folder / "project.json"
    project.write_text(project.read_text().replace('"pets"', '"::add-path::/x"'))
    one, two = (f"{folder}#::error::v{n}" for n in (1, 2))
    policy = tmp_path / "policy.toml"
    policy.write_text('[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.99\n')
    commands = [
        ("sync", folder),
        ("sync", folder, "--dry-run"),
        ("versions", folder),
        ("show", one),
        ("show", one, "--label", "::add-mask::cat"),
        ("show", "::error::x"),
        ("compare", one, two),
        ("check", one, "--policy", policy),
        ("archive", folder, tmp_path / "copy"),
    ]
    for command in commands:
        env = {"GITHUB_ACTIONS": "true"}
        done = warm.run(*command, "--tracking-uri", "sqlite:///mlflow.db", cwd=tmp_path, env=env)
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
        orders = [line for line in lines if line.startswith(("::", "##["))]
        assert [line for line in orders if "file=" not in line] == [], command
        assert done.stdout + done.stderr


def _strings(value: object) -> list[str]:
    """Every key and text in a JSON value."""
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in _strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []
