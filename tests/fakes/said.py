"""What a command says on stderr, without how it goes on."""

import re

PROGRESS = re.compile(r"\d of [\d,]+ (?:versions?|calls?|files)\b|files so far")


def drop_progress(stderr: str) -> str:
    """What is on stderr but for the lines that a slow machine shows every ten seconds."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not PROGRESS.search(line))


def list_said(stderr: str) -> list[str]:
    """The lines of that."""
    return drop_progress(stderr).splitlines()
