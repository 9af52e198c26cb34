"""The commands of the documentation, run in the order in which a reader pastes them.

    python tests/docs_outputs.py --write [PAGE…]

runs them all and writes what they print, and what is made of the code, into the pages of `docs`.
With pages (`gate.md`) only these are run, after the first one: name also those that they go on
from. `--generated` runs nothing: it only writes what is made of the code (options, metrics,
policies, docstrings).

How a page says what is what:

- a block `sh` or `python` is run, in one folder and one store for all pages in the order of
  `mkdocs.yml`; the Python blocks of a page are one program, run where the first of them is.
- `<!-- not run: REASON -->` before it: it is not. `<!-- exit 3 -->`: one of its commands ends so.
  `<!-- stand-in: aws -->`: an account with the project `parts` answers, as the tests have one.
- a block `text` (or another) with `title="Output"` behind it is what it prints; with
  `title="Output, first 9 lines"` the beginning of it.
- a block with the name of a file as `title` is that file, as the reader saves it.
- between `<!-- generated: … -->` and `<!-- end -->` is what `docs_reference.py` makes of the code.
"""

import logging
import re
import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = "README.md"
HOME = "/home/you/mlrek"
"""Where the reader has the clone, as outputs show it."""
IN_THE_CLONE = ("MLproject", "conda.yaml", "examples", "mlrek", "mkdocs.yml", "docs", "README.md")

FENCE = re.compile(
    r"(?P<notes>(?:^<!-- [^\n]* -->\n)*)"
    r"^```(?P<language>\w*)(?P<head>[^\n]*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NOTE = re.compile(r"<!-- (?P<name>not run|exit|stand-in):? (?P<value>.*) -->")
OUTPUT = re.compile(r'title="Output(?:, first (?P<lines>\d+) lines?)?"')
FILE = re.compile(r'title="(?P<name>[\w.-]+\.\w+)"')
PARTED = "\x1d"
RUN = ("sh", "python")
STAND_INS = ("aws",)

RUN_ID = re.compile(r"(?<=%22)[0-9a-f]{32}(?=%22)|\b[0-9a-f]{32}\b|\b[0-9a-f]{64}\b")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a page, with where it is: `start` and `end` of its body in the text."""

    language: str
    body: str
    start: int
    end: int
    notes: Mapping[str, str] = field(default_factory=dict)
    is_output: bool = False
    first_lines: int | None = None
    file: str = ""

    @property
    def is_run(self) -> bool:
        """Whether it is a command or a program that is run."""
        return self.language in RUN and "not run" not in self.notes and not self.file

    @property
    def codes(self) -> tuple[int, ...]:
        """The exit codes but for 0 that the page says."""
        return tuple(map(int, self.notes.get("exit", "").split()))


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A block that was run: what it printed as pages show it, and how it ended."""

    page: str
    block: Block
    printed: str
    codes: tuple[int, ...]


def list_pages() -> list[str]:
    """The names of all pages in the order in which they are read."""
    return list(_walk(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))


def read_page(name: str) -> str:
    """The text of a page, or of the README."""
    folder = ROOT if name == README else DOCS
    return (folder / name).read_text(encoding="utf-8")


def read_blocks(text: str) -> list[Block]:
    """The blocks of a page, from the top down."""
    return [_read_block(found) for found in FENCE.finditer(text)]


def run_pages(pages: Iterable[str]) -> list[Ran]:
    """Run the blocks of pages in one folder and one store, as their reader does."""
    with ExitStack() as stack:
        reader = stack.enter_context(_Reader(stack))
        return [ran for name in pages for ran in reader.read(name)]


def fill_in(text: str, ran: Iterable[Ran]) -> str:
    """The page with what its blocks printed; blocks are known by what is typed, in their order."""
    printed = defaultdict(deque)
    for one in ran:
        printed[one.block.body].append(one.printed)
    found = []
    for block, following in pairwise(read_blocks(text)):
        if not (block.is_run and printed[block.body]):
            continue
        lines = printed[block.body].popleft().splitlines(keepends=True)
        if following.is_output:
            found.append((following, "".join(lines[: following.first_lines])))
    for block, output in reversed(found):
        text = text[: block.start] + output + text[block.end :]
    return text


def normalise(text: str, folder: Path) -> str:
    """What was printed without what is another at each time: ids, times, the folder's place."""
    known: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        number = len(known) + 1
        digest = sha256(f"number {number}".encode()).hexdigest()
        return known.setdefault(found[0], digest[: len(found[0])])

    text = text.replace(str(folder.resolve()), HOME).replace(str(folder), HOME)
    text = RUN_ID.sub(name, text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


class _Reader:
    """Somebody with a clone, a terminal, and the pages."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._accounts: dict[str, str] = {}

    def __enter__(self):
        from conftest import clean_env
        from fakes.warm_shell import WarmShell

        env = {k: v for k, v in clean_env().items() if not k.startswith("AWS_")}
        env |= {"AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "100"}
        place = Path(self._stack.enter_context(TemporaryDirectory()))
        self._folder = place / "mlrek"
        self._folder.mkdir()
        for name in IN_THE_CLONE:
            (self._folder / name).symlink_to(ROOT / name)
        self._shell = self._stack.enter_context(WarmShell(self._folder, env))
        self._shell.run(f"export HOME={place}")  # nobody's profiles and settings
        return self

    def __exit__(self, *_error):
        pass

    def read(self, page: str) -> Iterator[Ran]:
        """Paste each block of a page."""
        blocks = read_blocks(read_page(page))
        programs = [b for b in blocks if b.is_run and b.language == "python"]
        for block in blocks:
            if block.file:
                (self._folder / block.file).write_text(block.body, encoding="utf-8")
            if block.is_run and block.language == "sh":
                printed = self._shell.run(self._surround(block))
                yield Ran(
                    page=page,
                    block=block,
                    printed=normalise(_drop_progress(printed.text), self._folder),
                    codes=printed.codes,
                )
            if programs and block is programs[0]:
                yield from self._run_programs(page, programs)

    def _run_programs(self, page: str, programs: list[Block]) -> Iterator[Ran]:
        parting = f"print({PARTED!r}, end='', flush=True)\n"
        file = self._folder.parent / "program.py"
        file.write_text(parting.join(block.body for block in programs), encoding="utf-8")
        printed = self._shell.run(f"warm-python {file}")
        parts = printed.text.split(PARTED)
        parts += [""] * (len(programs) - len(parts))
        for block, part in zip(programs, parts, strict=True):
            text = normalise(_drop_progress(part), self._folder)
            yield Ran(page=page, block=block, printed=text, codes=printed.codes)

    def _surround(self, block: Block) -> str:
        """The block, between what gives it a stand-in's address and takes that away."""
        if "stand-in" not in block.notes:
            return block.body
        from fakes.parts_account import serve_parts

        if not self._accounts:
            self._accounts = self._stack.enter_context(serve_parts(ROOT / "examples" / "digits"))
        given = "\n".join(f"export {name}='{value}'" for name, value in self._accounts.items())
        return f"{given}\n{block.body}\nunset {' '.join(self._accounts)}"


def _drop_progress(text: str) -> str:
    from fakes.said import drop_progress

    return drop_progress(text)


def _read_block(found: re.Match[str]) -> Block:
    head = found["head"]
    output = OUTPUT.search(head)
    file = FILE.search(head)
    lines = output["lines"] if output else None
    return Block(
        language=found["language"],
        body=found["body"],
        start=found.start("body"),
        end=found.end("body"),
        notes={note["name"]: note["value"] for note in NOTE.finditer(found["notes"])},
        is_output=bool(output),
        first_lines=int(lines) if lines else None,
        file=file["name"] if file else "",
    )


def _walk(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
        return
    for part in nav.values() if isinstance(nav, dict) else nav:
        yield from _walk(part)


def main() -> None:
    """Write what is printed, and what is made of the code, into the pages."""
    from docs_reference import generate

    if sys.argv[1:2] not in (["--write"], ["--generated"]):
        print(__doc__)
        raise SystemExit(2)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # the stand-ins' log of requests
    pages = list_pages()
    if sys.argv[2:]:
        pages = [name for name in pages if name in {pages[0], *sys.argv[2:]}]
    for name in pages:
        (DOCS / name).write_text(generate(read_page(name)), encoding="utf-8")
    if sys.argv[1] == "--generated":
        return
    ran = run_pages(pages)
    for name in pages:
        text = fill_in(read_page(name), [one for one in ran if one.page == name])
        (DOCS / name).write_text(text, encoding="utf-8")
    for one in ran:
        if one.codes != one.block.codes:
            print(f"{one.page}: {one.codes} of\n{one.block.body}\n{one.printed}")
    print(f"{len(ran)} blocks of {len(pages)} pages")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    main()
