"""How each process of ours runs and stops.

The first SIGTERM or SIGINT, or the end of `up`, asks the work to finish; a second signal ends the process at once,
which is safe by construction. A process that outlives `up` by its grace time ends itself, so `up` leaves no orphans.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable

from .settings import SUPERVISED

Work = Callable[[asyncio.Event], Awaitable[None]]
"""Runs until the event is set, then finishes what it began and returns."""


def run_until_stopped(
    work: Work, *, grace_s: float, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> None:
    """Runs `work` in a new event loop until it returns; what it raises is raised."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_with_signals(work, grace_s))


async def _with_signals(work: Work, grace_s: float) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    if os.environ.get(SUPERVISED):
        _stop_with_parent(loop, stop, grace_s)
    await work(stop)


def _stop_with_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, grace_s: float) -> None:
    """Standard input is a pipe that only the parent holds open: its end is the parent's, however it died."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        with contextlib.suppress(RuntimeError):  # The loop has closed: the process is ending anyway.
            loop.call_soon_threadsafe(stop.set)
        threading.Event().wait(grace_s)
        os._exit(1)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def fast_loop() -> asyncio.AbstractEventLoop:
    """Makes a loop of uvloop where there is one. For web servers only: Kafka's client and uvloop don't get on."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
