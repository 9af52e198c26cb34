"""Which number a check reads in place of the one it names, where that one would flatter."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mlrek.evaluation import Doubt, DoubtKind, Task
from mlrek.metrics.crossfit import PREFIX, find_crossfit
from mlrek.policy import Metric

_PLAIN_ERROR, _DEBIASED_ERROR = "/ece", "/ece_debiased"
CROSSFIT_NOTE: Final = (
    "read with thresholds that were chosen on the other images (cross-fitted), as the version's "
    "own were chosen on this very test set"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The number that is read. `asked` is the one that the policy names; mostly they are one."""

    asked: Metric
    metric: Metric

    @property
    def is_crossfit(self) -> bool:
        """Whether its thresholds were chosen on other images than those they are judged on."""
        return self.metric != self.asked and self.metric.name.startswith(PREFIX)

    @property
    def is_debiased(self) -> bool:
        """Whether it is the calibration error without what chance adds to it."""
        return self.metric.name.endswith(_DEBIASED_ERROR) and self.metric != self.asked


def choose_read(
    asked: Metric,
    doubts: Iterable[Doubt],
    has_number: Callable[[Metric], bool],
    *,
    task: Task,
    has_interval: bool,
) -> Read:
    """The number to read: cross-fitted or debiased where there is one and it is called for.

    Args:
        asked: What the policy names.
        doubts: Those of the versions that the policy does not accept.
        has_number: Whether a number is there.
        task: Of the versions.
        has_interval: Whether its interval is read, too.
    """
    fitted = any(
        doubt.kind == DoubtKind.THRESHOLDS_FITTED and doubt.touches_number(asked.name, asked.label)
        for doubt in doubts
    )
    crossfit = find_crossfit(task, asked.name) if fitted else ""
    for wanted in _list_better(asked, crossfit, has_interval=has_interval):
        if has_number(wanted):
            return Read(asked=asked, metric=wanted)
    return Read(asked=asked, metric=asked)


def drop_answered(doubts: Iterable[Doubt], read: Read) -> Iterator[Doubt]:
    """The doubts that are left once such a number is read."""
    for doubt in doubts:
        if not (read.is_crossfit and doubt.kind == DoubtKind.THRESHOLDS_FITTED):
            yield doubt


def _list_better(asked: Metric, crossfit: str, *, has_interval: bool) -> Iterator[Metric]:
    if crossfit:
        yield Metric(name=crossfit, label=asked.label)
    if has_interval and asked.name.endswith(_PLAIN_ERROR):
        yield Metric(name=asked.name.removesuffix(_PLAIN_ERROR) + _DEBIASED_ERROR)
