"""The image of the command: linted always, followed by hand always, built where an engine is."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples/docker/Dockerfile"
IGNORED = FILE.with_name("Dockerfile.dockerignore")


def read_steps(text: str) -> list[tuple[str, str]]:
    """Each instruction with its words, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    split = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(instruction.upper(), words.strip()) for instruction, _, words in split]


STEPS = read_steps(FILE.read_text())
LAST_STAGE = STEPS[max(i for i, step in enumerate(STEPS) if step[0] == "FROM") :]


def list_words(instruction: str, steps: list[tuple[str, str]] = STEPS) -> list[str]:
    """The words of all instructions of a name."""
    return [words for name, words in steps if name == instruction]


def find_engines() -> Iterator[str]:
    """Programs that build images here, now."""
    for name in ("docker", "podman"):
        program = shutil.which(name)
        asked = program and subprocess.run([program, "info"], capture_output=True, check=False)
        if asked and asked.returncode == 0 and b"Cannot connect" not in asked.stdout + asked.stderr:
            yield program


def test_hadolint_finds_nothing_in_the_dockerfile():
    """Without a rule switched off."""
    program = shutil.which("hadolint", path=Path(sys.executable).parent) or "hadolint"
    command = [program, "--no-color", "--failure-threshold", "style", FILE]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "hadolint" not in FILE.read_text()


def test_each_image_below_it_has_a_version_and_a_release_of_debian():
    """What `latest` is changes from day to day."""
    assert {words.split()[0] for words in list_words("FROM")} == {"python:3.12-slim-bookworm"}


def test_the_python_of_the_image_is_a_tested_one():
    """An image promises no more than the package."""
    (python,) = {re.search(r"python:([\d.]+)", words)[1] for words in list_words("FROM")}

    assert python in (ROOT / ".ci/pythons").read_text().split()


def test_the_command_runs_as_nobody_of_importance():
    """The last user is one by number, which a cluster can tell from root, and is not 0."""
    names = [name for name, _ in LAST_STAGE]

    assert list_words("USER", LAST_STAGE) == ["10001:10001"]
    assert "RUN" not in names[names.index("USER") :]


def test_nothing_is_downloaded_but_by_pip_and_nothing_is_left_of_it():
    """No ADD, no address, no apt; no cache of pip, and no pip in what is copied."""
    assert not list_words("ADD")
    assert not re.search(r"https?:|apt|curl|wget", "\n".join(list_words("RUN")))
    (pip,) = [words for words in list_words("RUN") if "install" in words and "pip" in words]
    assert "--no-cache-dir" in pip
    assert "--without-pip" in pip


def test_no_secret_is_given_to_the_build():
    """What a build argument or a variable says can be read in the image."""
    assert list_words("ARG") == ['EXTRAS=""']
    assert set(re.findall(r"(\w+)=", list_words("ENV")[0])) == {"PATH", "MLFLOW_TRACKING_URI"}


def test_the_image_is_the_command_and_keeps_its_runs():
    """Words after the image's name are those of `mlrek`; the store is in the volume."""
    assert list_words("ENTRYPOINT") == ['["mlrek"]']
    assert list_words("CMD") == ['["--help"]']
    assert list_words("VOLUME") == list_words("WORKDIR", LAST_STAGE) == ["/data"]
    assert 'MLFLOW_TRACKING_URI="sqlite:////data/mlflow.db"' in list_words("ENV")[0]


def test_the_build_sees_what_it_copies_and_nothing_else():
    """Neither the history nor the runs of this folder leave the machine."""
    lines = [line for line in IGNORED.read_text().splitlines() if not line.startswith("#")]
    own = [words.split()[:-1] for words in list_words("COPY") if "--from" not in words]
    copied = {name for names in own for name in names}

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied


@pytest.mark.parametrize("engine", ["by hand", *find_engines()])
def test_the_steps_of_the_dockerfile_make_the_command(engine, tmp_path, clean_environment):
    """By hand: what it copies is enough for pip to make the wheel. With an engine: it runs."""
    if engine == "by hand":
        answer = follow_by_hand(tmp_path, clean_environment)
    else:
        answer = build_and_run(engine, "--version")

    from mlrek import __version__

    assert answer == f"mlrek {__version__}"


def follow_by_hand(place: Path, env: dict[str, str]) -> str:
    """Copy what the Dockerfile copies and run its steps, but for what mlrek needs: `--version`."""
    source, opt = place / "source", place / "opt/mlrek"
    source.mkdir()
    for words in list_words("COPY"):
        if "--from" not in words:
            *names, into = words.split()
            for name in names:
                copy_to(source / into, ROOT / name)
    python = Path(sys.executable)
    env = env | {"PATH": f"{python.parent}:{env['PATH']}"}
    command = list_words("RUN")[0].replace("/opt/mlrek", str(opt))
    command = command.replace(" install ", " install --no-deps ")
    subprocess.run(["sh", "-ec", command], cwd=source, env=env, check=True)
    (packages,) = opt.glob("lib/python*/site-packages")
    assert list(packages.glob("mlrek/render/assets/*.html"))
    assert (opt / "bin/mlrek").is_file()
    command = [python, "-P", "-m", "mlrek", "--version"]
    env |= {"PYTHONPATH": str(packages)}
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def copy_to(into: Path, path: Path) -> None:
    """As COPY does: a file into a folder, the content of a folder into the folder."""
    if path.is_dir():
        shutil.copytree(path, into, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, into)


def build_and_run(engine: str, *args: str) -> str:
    """What the image answers; it is removed again."""
    name = "mlrek-of-the-tests"
    subprocess.run([engine, "build", "--quiet", "-f", FILE, "-t", name, ROOT], check=True)
    try:
        user = [engine, "run", "--rm", "--entrypoint", "id", name, "-u"]
        done = subprocess.run(user, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "10001"
        run = [engine, "run", "--rm", "--read-only", name, *args]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    finally:
        subprocess.run([engine, "image", "rm", "--force", name], check=False)
