"""A crew: several hands that send one list of things to the API, and tell how far they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from .aiohttp_caller import Caller

SHOWN_EVERY_S = 0.1

Item = TypeVar("Item")


class Phase(StrEnum):
    READING = "reading"
    PRODUCTS = "products"
    INVOICES = "invoices"
    VISITS = "visits"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the sending is; `total` is 0 while a file is read."""

    phase: Phase
    done: int
    total: int
    failed: int = 0
    """Of this phase and those before it, refused by the API."""
    repeats: int = 0
    """Calls repeated because the API was away or busy."""


def unwatched(_: Progress) -> None:
    """For callers that show no progress."""


@dataclass(slots=True)
class Crew:
    """`progress` is called in the event loop, at most ten times a second and at the end of every phase."""

    caller: Caller
    hands: int
    progress: Callable[[Progress], None]
    failed: int = 0
    _shown_at_s: float = field(default=0.0, init=False)

    async def each(self, phase: Phase, items: Sequence[Item], send: Callable[[Item], Awaitable[bool]]) -> None:
        """Sends every item, in order but several at a time; `send` is false where the API refused it.

        The first error ends it all and is raised: ApiSilent, or one of `send`'s own.
        """
        queue = enumerate(items, 1)

        async def hand() -> None:
            for number, item in queue:
                self.failed += not await send(item)
                self._show(phase, number, len(items))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.hands):
                    group.create_task(hand())
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        self._show(phase, len(items), len(items), at_once=True)

    def _show(self, phase: Phase, done: int, total: int, *, at_once: bool = False) -> None:
        now_s = time.monotonic()
        if at_once or now_s - self._shown_at_s >= SHOWN_EVERY_S:
            self._shown_at_s = now_s
            self.progress(Progress(phase, done, total, self.failed, self.caller.repeats))
