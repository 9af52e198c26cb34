"""Two processes read what one reads."""

import json
import os
import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from multiprocessing import context
from pathlib import Path
from typing import Any

import pytest

from mlrek.errors import ParseError, SourceError
from mlrek.formats import dealing, lines
from mlrek.formats.dealing import CAN_FORK, deal
from mlrek.formats.lines import Block, make_block
from mlrek.formats.rekognition import ManifestInput
from mlrek.formats.rekognition.manifest import ManifestColumns, _Reader, parse_manifest
from mlrek.sources.entries import Part, PartReader, ReadOptions
from mlrek.sources.storage import LocalStorage

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="nothing is dealt here")

LABELS = ["cat", "dog", "Kuh", "é\u2028"]
ODD_LINES = [
    b"",
    b" \t",
    b"{",
    b"[]",
    b"\xff",
    b'{"source-ref": ""}',
    b'{"source-ref": "s3://b/odd.jpg", "pets": 1}',
    b'{"source-ref": "s3://b/nobody.jpg", "cl-metadata": {"is_labeled": false}}',
]


def make_line(image: str, rng: random.Random) -> bytes:
    """A line of the usual kind, with one true label or two and a record of each label."""
    line: dict[str, object] = {"source-ref": image}
    for number in range(rng.choice([1, 1, 1, 2])):
        key = f"rekognition-custom-labels-training-{number}"
        line |= {key: 1, f"{key}-metadata": {"class-name": rng.choice(LABELS)}}
    for number, label in enumerate(LABELS):
        key = f"rekognition-custom-labels-evaluation-{number}"
        metadata = {"class-name": label, "confidence": round(rng.random(), 3)}
        line |= {key: 1, f"{key}-metadata": metadata}
    return json.dumps(line).encode()


def make_manifest(seed: int) -> bytes:
    """Mostly usual lines, some with a column or none, odd ones between, and awkward line ends."""
    rng = random.Random(seed)
    told_from, share_odd = rng.randrange(400), rng.choice([0, 0, 0.01, 0.1])
    parts = [rng.choice([b"", lines.BYTE_ORDER_MARK])]
    for number in range(400):
        line = make_line(f"s3://b/{rng.randrange(300)}.jpg", rng)
        if number > told_from:
            told = [b'"site": "A"', b'"ward": 7', b'"day": [1]', b'"own-metadata": {"age": 3}']
            line = line[:-1] + b", " + rng.choice(told) + b"}"
        if rng.random() < share_odd:
            line = rng.choice(ODD_LINES)
        parts.append(line + rng.choice([b"\n", b"\n", b"\r\n", b" \n"]))
    return b"".join(parts)[: rng.choice([None, None, -1, -9])]


def make_usual(n: int) -> bytes:
    """So many usual lines."""
    rng = random.Random(n)
    return b"".join(make_line(f"{number}.jpg", rng) + b"\n" for number in range(n))


def cut(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Chunks of any size."""
    while data:
        size = rng.choice([1, 700, 5_000, 40_000])
        yield data[:size]
        data = data[size:]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few lines, dealt from the third on."""
    monkeypatch.setattr(lines, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(dealing, "DEALT_AFTER", 2)


def tell(data: bytes, *, seed: int, is_shared: bool, skip: bool) -> object:
    """All that is read of a manifest, or why it is not."""
    chunks = cut(data, random.Random(seed))
    manifest = ManifestInput(uri="m.json", chunks=chunks, is_shared=is_shared)
    try:
        columns = parse_manifest(manifest, skip_bad_lines=skip)
    except ParseError as exc:
        return str(exc), exc.line
    fields = {name: getattr(columns, name) for name in ManifestColumns.__slots__}
    return fields | {
        "label_codes": [*columns.label_codes],
        "told": columns.told.finish(columns.images),
    }


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_two_processes_read_what_one_reads(seed: int, skip: bool) -> None:
    """Order, labels, columns, doubts and errors are the same with a second process."""
    data = make_manifest(seed)
    told = [tell(data, seed=seed, is_shared=shared, skip=skip) for shared in (False, True)]
    assert repr(told[0]) == repr(told[1])


def make_blocks(n: int) -> Iterator[Block]:
    """Blocks of one line each."""
    return (make_block(number, b"%d" % number) for number in range(1, n + 1))


def who(block: Block) -> tuple[int, bytes]:
    """Which process has seen a block, and its line."""
    return os.getpid(), get_line(block)


def get_line(block: Block) -> bytes:
    """The line of a block that has one."""
    return bytes(block.rows)[2:-2]


def test_both_processes_decode() -> None:
    """Blocks come in their order, some from here and some from the other process."""
    found = [made for _, made in deal(make_blocks(2_000), who, who) if made]
    assert [text for _, text in found] == [b"%d" % number for number in range(1, 2_001)]
    assert len({pid for pid, _ in found}) == 2


def test_the_other_process_copies_no_block() -> None:
    """The other process sees blocks where they lie, in memory that is shared."""
    found = deal(make_blocks(2_000), who, lambda block: type(block.rows) is memoryview)
    assert {seen for _, seen in found if isinstance(seen, bool)} == {True}


@pytest.mark.parametrize("victim", [1, 2, 9, 1_000])
def test_nothing_is_lost_with_the_other_process(victim: int) -> None:
    """When the other process is killed, the blocks that it had are decoded here."""

    def die(block: Block) -> tuple[int, bytes]:
        if block.number >= victim:
            os.kill(os.getpid(), 9)
        return who(block)

    found = [made for _, made in deal(make_blocks(2_000), who, die) if made]
    assert [text for _, text in found] == [b"%d" % number for number in range(1, 2_001)]


def test_what_is_more_than_a_pipe_holds_comes_back() -> None:
    """Answers of any size come back while blocks of any size are given."""
    texts = [bytes([65 + n % 26]) * size for n, size in enumerate([100_000, 5, 3_000_000, 9] * 20)]
    blocks = (make_block(number, text) for number, text in enumerate(texts))
    assert [made for _, made in deal(blocks, get_line, get_line)] == texts


def test_without_a_second_process_all_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started, one reads everything."""

    def refuse(_: object) -> None:
        raise OSError

    monkeypatch.setattr(context.ForkProcess, "start", refuse)
    assert {made[0] for _, made in deal(make_blocks(90), who, who) if made} == {os.getpid()}


def test_what_came_before_a_failure_is_read_first() -> None:
    """The blocks before the place where a source fails are read before that is raised."""

    def fail() -> Iterator[Block]:
        yield from make_blocks(50)
        raise SourceError("s3://b/m.json", "cut off")

    seen = list[object]()
    with pytest.raises(SourceError, match="cut off"):
        seen.extend(made for _, made in deal(fail(), who, who))
    assert len(seen) == 50


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("is_shared", [False, True])
def test_the_first_malformed_line_is_named(is_shared: bool) -> None:
    """Of several malformed lines the first is named, whichever process meets it."""
    texts = make_usual(200).splitlines()
    texts[150] = texts[151] = texts[190] = b"{"
    with pytest.raises(ParseError) as caught:
        parse_manifest(ManifestInput(uri="m", chunks=[b"\n".join(texts)], is_shared=is_shared))
    assert caught.value.line == 151


class CountedStorage(LocalStorage):
    """Counts how often files are opened, and bytes as they are read."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.digest = sha256()
        self.change: Callable[[], None] = lambda: None

    def read(self, uri: str, *args: object, **kwargs: object) -> Iterator[bytes]:
        """See `Storage`."""
        self.opened.append(uri)
        for chunk in super().read(uri):
            self.digest.update(chunk)
            yield chunk
            self.change()


def read_shared(path: Path, storage: CountedStorage) -> tuple[ManifestColumns, str]:
    """The columns of a manifest, and the SHA-256 that is kept of it."""
    with PartReader(storage, ReadOptions(is_shared=True)) as reader:
        chunks = reader.open(Part(role="manifest", uri=str(path)))
        columns = parse_manifest(ManifestInput(uri=str(path), chunks=chunks, is_shared=True))
        return columns, reader.files[0].sha256


@pytest.mark.usefixtures("small_blocks")
def test_the_other_process_reads_lines_of_a_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other process has made of lines is appended, rather than read once more."""
    data, taken = make_usual(300), list[tuple[Any, int]]()
    take = _Reader.take

    def take_and_count(reader: _Reader, block: Block, found: Any, on_bad_line: Any) -> None:
        before = len(reader.columns.images)
        take(reader, block, found, on_bad_line)
        taken.append((found, len(reader.columns.images) - before))

    monkeypatch.setattr(_Reader, "take", take_and_count)
    parse_manifest(ManifestInput(uri="m", chunks=[data], is_shared=True))
    packed = [n for found, n in taken if type(found).__name__ == "_PackedRows"]
    assert sum(packed) > 50


@pytest.mark.usefixtures("small_blocks")
def test_each_byte_is_read_once(tmp_path: Path) -> None:
    """Two processes open a manifest once, and its SHA-256 is of the bytes they decode."""
    path, storage = tmp_path / "m.json", CountedStorage()
    path.write_bytes(make_usual(300))
    _, digest = read_shared(path, storage)
    assert storage.opened == [str(path)]
    assert digest == storage.digest.hexdigest() == sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_changes_meanwhile_keeps_no_other_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that grows while it is read the SHA-256 is that of the lines that were read."""
    path, storage = tmp_path / "m.json", CountedStorage()
    monkeypatch.setattr("mlrek.sources.storage.CHUNK", 50_000)
    path.write_bytes(make_usual(300))
    more = [make_line("late", random.Random(2)) + b"\n"]

    def grow() -> None:
        while more:
            path.write_bytes(path.read_bytes() + more.pop())

    storage.change = grow
    columns, digest = read_shared(path, storage)
    assert columns.images[-1] == "late"
    assert digest == storage.digest.hexdigest() == sha256(path.read_bytes()).hexdigest()
