"""The text of a comment in a pull request: one that is found again, and is no one else's words.

What a job hands over is a file, which in a pull request from a fork anybody may have written. So
only what `render_markdown` can have made is taken: text, tables and lists in which every name is
escaped.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from mlrek.render import quiet_references

NO_ANSWER: Final = (
    "### Promotion check\n\n**no answer**: the check ended before it had one, so nothing is known "
    "of this version. The log of its job says why.\n"
)
NOT_OURS: Final = (
    "### Promotion check\n\n**no answer**: what the check left is no text of mlrek, so it is not "
    "shown.\n"
)

_DETAILS, _END = "<details>", "</details>"
_ROOM: Final = 200
"""Characters for what is said of lines that were left out."""
_TEXT: Final = r"(?:[^\\`*_{}\[\]<>|#~$&]|\\[!-/:-@\[-`{-~]|&#8203;|&(?!#?\w+;))*"
_LINE: Final = re.compile(
    rf"(?:### |- )?(?:\*\*{_TEXT}\*\*)?{_TEXT}"
    rf"|\|(?: {_TEXT} \|)+"
    rf"|{_DETAILS}<summary>[\w ,.'…-]*</summary>|{_END}"
)
_URL: Final = re.compile(r"https?://[^\s()<>\"'\\]+")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrigin:
    """The job that speaks: its address, and the commit that it looked at; '' for unknown."""

    url: str = ""
    commit: str = ""


def write_marker(name: str) -> str:
    """A comment's first line, which nobody sees and by which it is found again.

    >>> write_marker("check --> a")
    '<!-- mlrek-comment: 446bb220158ef6e0 -->'
    """
    return f"<!-- mlrek-comment: {sha256(name.encode()).hexdigest()[:16]} -->"


def is_own_text(text: str) -> bool:
    """Whether a text is made of what `render_markdown` makes, and nothing else."""
    is_open = 0
    for line in text.split("\n"):
        is_open += line.startswith(_DETAILS) - (line == _END)
        is_ours = line.isprintable() and _LINE.fullmatch(line) and not line.startswith("/")
        if is_open < 0 or not is_ours:
            return False
    return is_open == 0


def build_comment(marker: str, text: str, origin: JobOrigin, limit: int) -> str:
    """The whole comment, of at most `limit` UTF-16 units: what has no room is counted and named.

    `text` is '' where a job has left none.
    """
    shown = NO_ANSWER if not text.strip() else text if is_own_text(text) else NOT_OURS
    said = _say_origin(origin)
    room = limit - _measure(f"{marker}\n\n\n{said}") - _ROOM
    return f"{marker}\n{cut_markdown(quiet_references(shown), room)}\n{said}"


def cut_markdown(text: str, room: int) -> str:
    """The lines of a text that have room, each of them whole; how many have none is said."""
    if _measure(text) <= room:
        return text
    kept, n_left_out, folded = list[str](), 0, list[bool]()
    for line in text.rstrip("\n").split("\n"):
        if line == _END:  # its room was taken with that of its beginning
            kept += [line] * folded.pop()
            continue
        is_fold = line.startswith(_DETAILS)
        cost = _measure(line) + 1 + is_fold * (len(_END) + 1)
        has_room = cost <= room
        if is_fold:
            folded.append(has_room)
        if has_room:
            kept.append(line)
            room -= cost
        else:
            n_left_out += bool(line)
    lines = "1 line is" if n_left_out == 1 else f"{n_left_out:,} lines are"
    return "\n".join([*kept, "", f"**{lines} left out**: there is no room here.", ""])


def _say_origin(origin: JobOrigin) -> str:
    """Where it comes from: a link to the job and the commit, as far as both are what they seem."""
    job = f"[This job]({origin.url})" if _URL.fullmatch(origin.url) else "This job"
    commit = f" at commit {origin.commit[:10]}" if _COMMIT.fullmatch(origin.commit) else ""
    return f"{job} ran mlrek{commit}.\n"


def _measure(text: str) -> int:
    """The length of a text as JavaScript counts it: no host counts more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
