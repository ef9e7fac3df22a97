"""Waiting: how long before the next attempt, and not a moment longer than until the stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first_s` to `cap_s`; half of each wait is chance, so that those who failed together part ways."""

    first_s: float = 0.1
    cap_s: float = 30.0

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
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
