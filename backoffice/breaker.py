"""A circuit breaker: what fails again and again isn't asked any more, and is tried from time to time until it works.

Trying is a task of its own, so nobody who wants an answer waits for an attempt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from event_store.backoff import Backoff, dropped

T = TypeVar("T")
Call = Callable[[], Coroutine[Any, Any, T]]

FAILURES = 3
"""In a row."""
STEADY_S = 60.0
"""What worked for so long is tried again soon when it breaks; what breaks again and again isn't, nor said as often."""

TURNS = 5
"""In how many parts a call's time passes."""


class NotNow(Exception):
    """The call failed, or wasn't made. The message says why."""


class BreakerObserver(Protocol):
    """Hears each change, once."""

    def broke(self, why: str) -> None: ...

    def mended(self) -> None: ...


@dataclass(slots=True)
class CircuitBreaker:
    """Keeps calls to one server short. `check` says whether it is of use; `failure` is what calls raise then."""

    check: Call[None]
    failure: type[Exception]
    observer: BreakerObserver
    timeout_s: float
    backoff: Backoff = field(default_factory=lambda: Backoff(0.5, 30.0))
    clock: Callable[[], float] = time.monotonic
    why: str | None = None
    """What is wrong; None while calls are made."""
    _failures: int = 0
    _breaks: int = 0
    """How often it broke without having been steady in between."""
    _works_since_s: float | None = None
    """None until it has worked."""
    _trying: asyncio.Task[None] | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything has been asked yet."""
        return self.why is not None or self._works_since_s is not None

    async def look(self, timeout_s: float) -> None:
        """A first call that nobody waits for; one failure says enough then."""
        try:
            await self.call(self.check, timeout_s)
        except NotNow:
            return

    async def call(self, call: Call[T], timeout_s: float | None = None) -> T:
        """What the call answers. Raises NotNow."""
        if self.why is not None:
            raise NotNow(self.why)
        try:
            answer = await self._in_time(call, timeout_s or self.timeout_s)
        except NotNow as error:
            self.failed(str(error))
            raise
        self._failures = 0
        if self._works_since_s is None:
            self._works_since_s = self.clock()
        return answer

    def failed(self, why: str) -> None:
        """Takes note of a failure."""
        self._failures += 1
        if self.why is None and (self._works_since_s is None or self._failures >= FAILURES):
            was_steady = self._works_since_s is None or self.clock() - self._works_since_s >= STEADY_S
            self._breaks = 1 if was_steady else self._breaks + 1
            self.why = why
            self.observer.broke(why)
            self._trying = asyncio.create_task(self._try_until_it_works())

    async def close(self) -> None:
        if self._trying is not None:
            await dropped([self._trying])

    async def _try_until_it_works(self) -> None:
        attempts = self._breaks
        while self.why is not None:
            await asyncio.sleep(self.backoff.wait_s(attempts))
            attempts += 1
            try:
                await self._in_time(self.check, self.timeout_s)
            except NotNow as error:
                self.why = str(error)
            else:
                (self.why, self._failures, self._works_since_s) = (None, 0, self.clock())
        self.observer.mended()

    async def _in_time(self, call: Call[T], timeout_s: float) -> T:
        """In turns: what came while something else kept our event loop busy is taken before the next turn is over."""
        answering = asyncio.ensure_future(call())
        try:
            for _ in range(TURNS):
                (done, _) = await asyncio.wait([answering], timeout=timeout_s / TURNS)
                if done:
                    return answering.result()
        except self.failure as error:
            raise NotNow(str(error)) from error
        finally:
            await dropped([answering])
        raise NotNow(f"it did not answer within {timeout_s:g} s")
