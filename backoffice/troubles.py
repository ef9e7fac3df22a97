"""What keeps a process from its work at the moment: where, and why. Readiness is the absence of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

REPEAT_S = 30.0
"""How much longer than until its next attempt a failure counts: a failed one will be noted again by then."""


class Troubles:
    """Noted by the event loop, read by the thread that answers probes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._noted: dict[str, tuple[str, float]] = {}

    def note(self, where: str, why: str, retry_in_s: float = math.inf) -> bool:
        """Returns whether this is news: another reason than is still standing there."""
        (known, until) = self._noted.get(where, ("", 0.0))
        at = self._clock()
        self._noted[where] = (why, at + retry_in_s + REPEAT_S)
        return known != why or until < at

    def over(self, where: str) -> None:
        self._noted.pop(where, None)

    def now(self) -> Mapping[str, str]:
        at = self._clock()
        return {where: why for where, (why, until) in list(self._noted.items()) if until > at}

    def sentence(self) -> str:
        """All of them in one; empty where there are none."""
        return "; ".join(f"{where}: {why}" for where, why in self.now().items())
