"""Checks that a tag names this version, and prints what its release says.

    python .ci/check_tag.py v1.2.3 >notes.md

The version is that of `mlrek/__init__.py`. The newest heading of `CHANGELOG.md` must be
`## 1.2.3 (YYYY-MM-DD)`: what is "not released" is not released by a tag.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read_notes(tag: str, package: str, changelog: str) -> str:
    """What the changelog says of the version of a tag.

    Raises:
        ValueError: Tag, version and heading do not agree.
    """
    version = re.search(r'^__version__ = "([^"]+)"$', package, re.MULTILINE)
    if version is None or tag != f"v{version[1]}":
        raise ValueError(f"the tag is {tag}, the version {version and version[1]}")
    newest = re.search(r"^## (.*)\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    if newest is None or not re.fullmatch(
        rf"{re.escape(version[1])} \(\d{{4}}-\d\d-\d\d\)", newest[1]
    ):
        raise ValueError(
            f"CHANGELOG.md begins with {newest and newest[1]!r}: "
            f"write `## {version[1]} (YYYY-MM-DD)`, the day of the release"
        )
    return f"{newest[2].strip()}\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(
            read_notes(
                sys.argv[1],
                (ROOT / "mlrek" / "__init__.py").read_text(encoding="utf-8"),
                (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
            )
        )
    except ValueError as exc:
        sys.exit(str(exc))
