"""Blocks of lines dealt out: a forked process decodes some of them while this one reads on.

Only decoding is dealt. What depends on the order of the lines is done here, in their order, so one
process and two come to the same. A process that is lost takes nothing with it: until its answer is
here, its lines are kept here.
"""

import select
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain, islice
from mmap import mmap
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final, Generic, TypeVar

from mlrek.errors import MlrekError
from mlrek.formats.lines import BLOCK_BYTES, Block

CAN_FORK: Final = sys.platform == "linux"
"""Elsewhere there is no fork, or libraries of the system do not survive it."""
DEALT_AFTER: Final = 64
"""Blocks (8 MiB) from which on a process pays for its start."""
_AT_ONCE: Final = 8
"""Blocks that are dealt together: to send four takes as long as a twentieth of their decoding."""
_UNDER_WAY: Final = 2
_WAITING: Final = 4
"""Hands of blocks that may wait here for the answer to one before them."""
_MOST_BYTES: Final = 2 * _AT_ONCE * BLOCK_BYTES
"""Of a hand that is given away; longer ones, of very long lines, are decoded here."""

T = TypeVar("T")
P = TypeVar("P")


@dataclass(slots=True)
class _Hand(Generic[T]):
    """Some blocks, and what was made of them; None: the other process was asked."""

    blocks: list[Block]
    decoded: list[T | None] | None = None


def deal(
    blocks: Iterator[Block], decode: Callable[[Block], T | None], pack: Callable[[Block], P]
) -> Iterator[tuple[Block, T | P | None]]:
    """Yield each block in the order of the file, and what was made of it.

    Args:
        blocks: The blocks; what they raise is raised after those before it.
        decode: What this process makes of a block; None where nothing can be made of it.
        pack: What the other one makes of its rows, small and picklable. What it raises is a None.
    """
    if (first := next(blocks, None)) is None:
        return
    waiting, failed = deque[_Hand[T]](), list[MlrekError]()
    all_blocks = _until_failure(chain([first], blocks), failed)
    with closing(_Helper(pack)) as helper:
        while some := list(islice(all_blocks, _AT_ONCE)):
            helper.receive()
            if helper.has_room(some):
                helper.give(some)
                waiting.append(_Hand(some))
            else:
                waiting.append(_Hand(some, [decode(block) for block in some]))
            while waiting and (len(waiting) > _WAITING or helper.is_ready or waiting[0].decoded):
                yield from _finish(waiting.popleft(), helper, decode)
        while waiting:
            yield from _finish(waiting.popleft(), helper, decode)
    if failed:
        raise failed[0]


def _until_failure(blocks: Iterable[Block], failed: list[MlrekError]) -> Iterator[Block]:
    try:
        yield from blocks
    except MlrekError as exc:
        failed.append(exc)


def _finish(
    hand: _Hand[T], helper: "_Helper[P]", decode: Callable[[Block], T | None]
) -> Iterator[tuple[Block, T | P | None]]:
    if hand.decoded is not None:
        return zip(hand.blocks, hand.decoded, strict=True)
    while not helper.is_ready:
        helper.wait()
    if helper.answers:
        return zip(hand.blocks, helper.answers.popleft(), strict=True)
    return ((block, decode(block)) for block in hand.blocks)


class _Helper(Generic[P]):
    """The other process. It sees what this one held when it was made, and nothing of what came.

    Blocks lie in memory that both see, and are decoded there: nothing is sent but where they are.
    It never has to be waited for.
    """

    def __init__(self, pack: Callable[[Block], P]) -> None:
        context = get_context("fork")
        self.answers: deque[list[P | None]] = deque()
        self.is_lost = False
        self._n_given = self._n_under_way = 0
        self._memory = mmap(-1, _UNDER_WAY * _MOST_BYTES)
        theirs, self._orders = context.Pipe(duplex=False)
        self._answers, answers = context.Pipe(duplex=False)
        mine = (self._orders, self._answers)
        self._process = context.Process(
            target=_serve, args=(self._memory, theirs, answers, mine, pack), daemon=True
        )
        self._start()
        theirs.close()
        answers.close()
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)

    @property
    def is_ready(self) -> bool:
        """Whether there is an answer, or will never be one."""
        return bool(self.answers) or self.is_lost

    def has_room(self, blocks: Sequence[Block]) -> bool:
        """Whether it may be given more, and these."""
        size = sum(len(block.rows) for block in blocks)
        return self._n_under_way < _UNDER_WAY and size <= _MOST_BYTES and not self.is_lost

    def give(self, blocks: Sequence[Block]) -> None:
        """Let it work on some blocks."""
        self._memory.seek(self._n_given % _UNDER_WAY * _MOST_BYTES)
        order = [
            (block.number, block.n_lines, self._memory.tell(), self._memory.write(block.rows))
            for block in blocks
        ]
        self._n_given += 1
        self._n_under_way += 1
        try:
            self._orders.send(order)
        except OSError:
            self.is_lost = True

    def wait(self) -> None:
        """Wait for an answer, and take what is there."""
        self._poll.poll()
        self.receive()

    def receive(self) -> None:
        """Take the answers that are there."""
        try:
            while self._n_under_way and self._poll.poll(0):
                self.answers.append(self._answers.recv())
                self._n_under_way -= 1
        except (EOFError, OSError):
            self.is_lost, self._n_under_way = True, 0

    def close(self) -> None:
        """End it."""
        self._orders.close()
        self._answers.close()
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        try:
            with warnings.catch_warnings():  # no other thread of Python's is at work here
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        except OSError:  # no process or no memory left
            self.is_lost = True


def _serve(
    memory: mmap,
    orders: Connection,
    answers: Connection,
    others: Iterable[Connection],
    pack: Callable[[Block], P],
) -> None:
    """Answer until there are no more orders; `others` are the ends that the parent keeps."""
    for end in others:
        end.close()
    view = memoryview(memory)
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            blocks = (
                Block(number, n_lines, view[start : start + size])
                for number, n_lines, start, size in orders.recv()
            )
            answers.send([_try(pack, block) for block in blocks])


def _try(pack: Callable[[Block], P], block: Block) -> P | None:
    try:
        return pack(block)
    except (ValueError, TypeError, AttributeError):
        return None


def take_first(blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks for which no process pays yet."""
    return islice(blocks, DEALT_AFTER)
