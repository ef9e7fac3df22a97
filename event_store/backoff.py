"""Waiting: how long before the next attempt, and not a moment longer than until the stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

STOP_TIMEOUT_S = 10.0
"""How long all that a process has in flight may take to end, from the moment it is told to stop. Writes that wait for
a file which others keep locked would take that long each, one after the other."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first_s` to `cap_s`; half of each wait is chance, so that those who failed together part ways."""

    first_s: float = 0.1
    cap_s: float = 5.0
    """So seldom that asking for what is away costs nothing, so often that little time is lost when it is back."""

    def wait_s(self, failures: int) -> float:
        """The wait after the given number of failures in a row (1 or more)."""
        full = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return full * random.uniform(0.5, 1.0)


async def sleep_unless(stop: asyncio.Event, seconds: float) -> None:
    """Sleeps, or returns as soon as `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Returns when the first of them ends; the others are cancelled, and their ends waited for."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await dropped(tasks)


async def ends_in_time(work: Coroutine[Any, Any, None], stop: asyncio.Event, timeout_s: float) -> bool:
    """Runs `work`, which ends soon after `stop` is set, and cancels what of it is left `timeout_s` after that.

    Work that knows no stop is given a timeout of 0. Returns whether it ended by itself; what it raises is raised.
    """
    working = asyncio.ensure_future(work)
    try:
        await first_of(stop.wait(), asyncio.wait([working]))
        await asyncio.wait([working], timeout=timeout_s)
    finally:
        await dropped([working])
    if working.cancelled():
        return False
    working.result()
    return True


async def dropped(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels those that still run, and returns when all have ended."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
