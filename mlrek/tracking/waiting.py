"""Waiting for another process: it is told, and it ends."""

import logging
import time
from collections.abc import Callable

from mlrek.errors import TrackingError

TOLD_AFTER_S = 5.0
GIVEN_UP_AFTER_S = 60.0
"""Without a sign of life of the other process."""
LOOK_EVERY_S = 0.1

_LOG = logging.getLogger("mlrek")


class Patience:
    """Waits in short steps; says so once, and gives up when nothing moves any more."""

    def __init__(
        self,
        reason: str,
        advice: str,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reason, self._advice = reason, advice
        self._now, self._sleep = now, sleep
        self._begun = self._moved = now()
        self._seen: object = None
        self._is_told = False

    def step(self, sign_of_life: object) -> None:
        """Wait a moment; `sign_of_life` is something that changes while the other one works.

        Raises:
            TrackingError: It has not changed for too long.
        """
        now = self._now()
        if sign_of_life != self._seen:
            self._seen, self._moved = sign_of_life, now
        if now - self._begun > TOLD_AFTER_S and not self._is_told:
            self._is_told = True
            _LOG.warning("waiting: %s", self._reason)
        if now - self._moved > GIVEN_UP_AFTER_S:
            waited = f"{now - self._begun:.0f} seconds"
            raise TrackingError(f"{self._reason}; waited {waited} for it: {self._advice}")
        self._sleep(LOOK_EVERY_S)

    @property
    def still_for_s(self) -> float:
        """Seconds since the last sign of life."""
        return self._now() - self._moved
