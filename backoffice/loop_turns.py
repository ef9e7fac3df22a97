"""How long the event loop's turns take. During a turn nothing else runs: no heartbeat, no renewal of a lease.

Measured around the selector's wait, at both ends of every turn, so that no turn is missed and an idle loop isn't woken
to be measured. (aiokafka's clients lose their partitions to a loop that is blocked: its issues 678 and 700.)
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

BLOCKED_S = 0.1
"""A longer turn counts as a block."""
WINDOW_S = 60.0
"""For how long at least, and at most twice as long, the longest turn is remembered."""


class LoopTurns(Collector):
    """Of one event loop, which `new_loop` makes. Written by the loop, read by the thread that answers probes."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._turning_since: float | None = None
        self._longest_s = 0.0
        self._longest_before_s = 0.0
        self._notable_s = 0.0
        """A shorter turn changes nothing."""
        self._window_ends = clock() + WINDOW_S
        self._blocked = 0

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_Watched(self))

    def begin(self) -> None:
        self._turning_since = self._clock()

    def end(self) -> None:
        since = self._turning_since
        if since is None:
            return
        self._turning_since = None
        now = self._clock()
        took_s = now - since
        if took_s > self._notable_s or now >= self._window_ends:
            self._note(now, took_s)

    def _note(self, now: float, took_s: float) -> None:
        self._turn_the_page(now)
        self._longest_s = max(self._longest_s, took_s)
        self._blocked += took_s > BLOCKED_S
        self._notable_s = min(self._longest_s, BLOCKED_S)

    @property
    def turning_s(self) -> float:
        """How long the turn under way has taken; 0 where the loop waits."""
        since = self._turning_since
        return 0.0 if since is None else self._clock() - since

    @property
    def longest_s(self) -> float:
        self._turn_the_page(self._clock())
        return max(self._longest_s, self._longest_before_s, self.turning_s)

    def _turn_the_page(self, now: float) -> None:
        if now >= self._window_ends:
            self._longest_before_s = self._longest_s if now < self._window_ends + WINDOW_S else 0.0
            (self._longest_s, self._notable_s, self._window_ends) = (0.0, 0.0, now + WINDOW_S)

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "countinghouse_event_loop_lag_seconds",
            "The longest turn of the event loop in the last one to two minutes.",
            self.longest_s,
        )
        yield CounterMetricFamily(
            "countinghouse_event_loop_blocked_total", "Turns of the event loop longer than 0.1 s.", self._blocked
        )


class _Watched(selectors.DefaultSelector):
    def __init__(self, turns: LoopTurns) -> None:
        super().__init__()
        self._turns = turns

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns.end()
        try:
            return super().select(timeout)
        finally:
            self._turns.begin()
