"""An asyncio loop on virtual time: nothing waits, time jumps to the next timer, and one seed gives one history.

It runs in one thread. Work for other threads (`asyncio.to_thread`) is done at once, where it is asked for.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")

LIFE: contextvars.ContextVar[object | None] = contextvars.ContextVar("life", default=None)
"""Which simulated process the running task belongs to; a task inherits it from the one that made it."""

EPOCH_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z, at which every simulation begins."""


class Deadlock(AssertionError):
    """Every task waits and no timer is left."""


class SimulatedTask(asyncio.Task[Any]):
    """A task that knows its process. Its hash is its number, so that sets of tasks have the same order in each run."""

    numbers = itertools.count(1)

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **kwargs: Any) -> None:
        self.number = next(self.numbers)
        self.life = LIFE.get()
        super().__init__(coroutine, **kwargs)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class _Jump:
    """What the loop takes for a selector: it moves the clock instead of waiting."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None:
            raise Deadlock("every task waits for another one, and no timer is left to wake any")
        self.now_s += max(0.0, timeout_s)
        return []


class VirtualTimeLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._selector = self._jump = _Jump()
        self._clock_resolution = 1e-6
        self.unhandled: list[str] = []
        """What tasks raised that nobody looked at."""
        self.set_task_factory(lambda loop, coroutine, **kwargs: SimulatedTask(coroutine, loop=loop, **kwargs))
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._jump.now_s

    def now_us(self) -> int:
        """Microseconds since 1970 UTC on the virtual clock."""
        return EPOCH_US + round(self._jump.now_s * 1e6)

    def go_on(self, seconds: float) -> None:
        """Moves the clock while there is work, as it moves on real machines."""
        self._jump.now_s += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no events but timers."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task = context.get("future") or context.get("task")
        if getattr(getattr(task, "life", None), "dead", False):
            return  # Its process was killed; what its remains raise, nobody would hear.
        self.unhandled.append(f"{context['message']}: {context.get('exception')!r} in {task!r}")


def run_virtual(main: Callable[[VirtualTimeLoop], Coroutine[Any, Any, T]]) -> T:
    """Runs `main` on a loop of its own and leaves nothing behind. Raises what nobody handled, too."""
    loop = VirtualTimeLoop()
    SimulatedTask.numbers = itertools.count(1)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main(loop))
    finally:
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drives a call of an in-memory back end to its end without letting any other task run in between.

    Such calls only ever give way (`asyncio.sleep(0)`); what they would wait for doesn't exist.
    """
    while True:
        try:
            given = coroutine.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        if given is not None:
            coroutine.close()
            raise AssertionError("an in-memory back end waited instead of giving way")
