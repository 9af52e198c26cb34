"""What a command says on stderr, without how it goes on."""

import re

PROGRESS = re.compile(r"\d of [\d,]+ (?:versions?|calls?|files)\b|files so far")


def list_said(stderr: str) -> list[str]:
    """The lines of stderr but for those that a slow machine shows every ten seconds."""
    return [line for line in stderr.splitlines() if not PROGRESS.search(line)]
