"""Back ends that fail at any call, as the seed says: before it acts, after it acted, late, slowly, or for a while."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from event_store.errors import EventStoreError, LogUnavailable, StorageUnavailable

from .virtual_time import at_once


class Fate(StrEnum):
    """What becomes of one call."""

    FINE = "fine"
    SLOW = "slow"
    LOST = "lost"
    """It fails and did nothing."""
    ACK_LOST = "acknowledgement lost"
    """It did all it should, and is reported failed."""
    LATE = "late"
    """It is reported failed, and does it all some seconds later: the request was still on its way."""


WRITES = frozenset(
    "append commit acknowledge advance note_failure claim hold_lanes take take_over release accept switch "
    "begin_generation abandon bury redrive clean note_stop note_positions create_topic".split()
)
LATE_WRITES = frozenset({"append", "commit", "acknowledge", "advance"})
"""What a server may still do for a client that has given up. (The rest is one short statement.)"""


@dataclass(slots=True)
class Life:
    """One life of a simulated process."""

    name: str
    dead: bool = False
    running: asyncio.Event = field(default_factory=asyncio.Event)
    """Not set while the process is paused, as SIGSTOP would."""

    def __post_init__(self) -> None:
        self.running.set()

    async def ready(self) -> None:
        await self.running.wait()
        if self.dead:
            raise asyncio.CancelledError


@dataclass(slots=True)
class Faults:
    """Decides by the seed. `rates` are the chances of each fate per call, by place."""

    random: Random
    rates: dict[str, dict[Fate, float]]
    clock: Callable[[], float]
    tally: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    broken: list[AssertionError] = field(default_factory=list)
    """Laws that a call broke. Kept, because the process that called would take them for errors of its own."""
    _away_until_s: dict[str, float] = field(default_factory=dict)

    def take_away(self, place: str, seconds: float) -> None:
        self.tally[f"{place} away"] += 1
        self._away_until_s[place] = self.clock() + seconds

    def heal(self) -> None:
        self.rates = {}
        self._away_until_s = {}

    def fate(self, place: str, name: str) -> Fate:
        if self.clock() < self._away_until_s.get(place, 0.0):
            return Fate.LOST
        chosen = self.random.random()
        for fate, rate in self.rates.get(place, {}).items():
            chosen -= rate
            if chosen < 0:
                return self._possible(fate, name)
        return Fate.FINE

    def delay_s(self, fate: Fate) -> float:
        return self.random.uniform(0.5, 30.0) if fate is Fate.SLOW else self.random.uniform(0.0005, 0.01)

    def note(self, life: Life, place: str, name: str, what: object) -> None:
        self.trace.append(f"{self.clock():.6f} {life.name} {place}.{name} {what}")

    def _possible(self, fate: Fate, name: str) -> Fate:
        if fate is Fate.LATE and name not in LATE_WRITES:
            return Fate.LOST
        if fate is Fate.ACK_LOST and name not in WRITES:
            return Fate.LOST
        return fate


class Unreliable:
    """An in-memory back end as one process reaches it. Each call acts at one instant, or not at all."""

    def __init__(
        self, target: Any, place: str, life: Life, faults: Faults, acting: Callable[..., Callable[[Any], None]]
    ) -> None:
        """`acting(place, name, args)` is asked before a call acts; what it returns is told the result."""
        self._target = target
        self._place = place
        self._life = life
        self._faults = faults
        self._acting = acting

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._life.ready()
            if name == "wait_for_news":
                return await self._news(*args)
            return await self._call(name, args, kwargs)

        return call

    async def _news(self, timeout_s: float) -> bool:
        """A hint, which may be missed."""
        if self._faults.fate(self._place, "wait_for_news") is not Fate.FINE:
            await asyncio.sleep(timeout_s)
            return False
        told: bool = await self._target.wait_for_news(timeout_s)
        return told

    async def _call(self, name: str, args: Any, kwargs: Any) -> Any:
        fate = self._faults.fate(self._place, name)
        if fate is not Fate.FINE:
            self._faults.tally[f"{self._place} {fate}"] += 1
        await self._travel(self._faults.delay_s(fate), name, args, kwargs)
        if fate is Fate.LATE:
            later_s = self._faults.random.uniform(1.0, 20.0)
            asyncio.get_running_loop().call_later(later_s, self._act_unheard, name, args, kwargs)
        if fate in (Fate.LOST, Fate.LATE):
            self._faults.note(self._life, self._place, name, fate)
            raise self._unavailable(fate)
        result = self._act(name, args, kwargs)
        if fate is Fate.ACK_LOST:
            raise self._unavailable(fate)
        await self._life.ready()
        return result

    async def _travel(self, seconds: float, name: str, args: Any, kwargs: Any) -> None:
        """The request's way. A process that dies meanwhile may have its request arrive all the same."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            if self._life.dead and name in WRITES and self._faults.random.random() < 0.5:
                self._faults.tally["request of a dead process"] += 1
                self._act_unheard(name, args, kwargs)
            raise

    def _act(self, name: str, args: Any, kwargs: Any) -> Any:
        acted = self._judged(self._acting, self._place, name, args)
        try:
            result = getattr(self._target, name)(*args, **kwargs)
            if inspect.iscoroutine(result):
                result = at_once(result)
        except EventStoreError as error:
            self._faults.note(self._life, self._place, name, type(error).__name__)
            self._faults.tally[type(error).__name__] += 1
            raise
        self._faults.note(self._life, self._place, name, "done")
        self._judged(acted or (lambda result: None), result)
        return result

    def _judged(self, look: Callable[..., Any], *args: Any) -> Any:
        try:
            return look(*args)
        except AssertionError as error:
            self._faults.broken.append(error)

    def _act_unheard(self, name: str, args: Any, kwargs: Any) -> None:
        try:
            self._act(name, args, kwargs)
        except EventStoreError:
            return

    def _unavailable(self, fate: Fate) -> EventStoreError:
        error = LogUnavailable if self._place == "log" else StorageUnavailable
        return error(f"simulated: {self._place}, {fate}")
