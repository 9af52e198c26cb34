"""The coverage-guided fuzzer finds nothing in the seconds that every test run has for it."""

import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 20
SCRIPT = Path(__file__).with_name("fuzz_parsers.py")


def test_the_fuzzer_finds_nothing(tmp_path):
    """Every parser, from real files on."""
    pytest.importorskip("atheris", reason="needs atheris: pip install 'mlrek[fuzz]'")
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, f"-max_total_time={SECONDS}", "-verbosity=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [file.name for file in tmp_path.glob("*") if file.name.startswith(("crash", "timeout"))]

    assert (done.returncode, found) == (0, []), done.stderr[-6000:]
