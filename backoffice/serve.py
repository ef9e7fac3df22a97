"""How each process of ours runs and stops.

The first SIGTERM or SIGINT, or the end of `up`, asks the work to finish; a second signal ends the process at once,
which is safe by construction. A process that outlives `up` by its grace time ends itself, so `up` leaves no orphans.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import structlog
import uvicorn

from .settings import SUPERVISED

Work = Callable[[asyncio.Event], Awaitable[None]]
"""Runs until the event is set, then finishes what it began and returns."""

OPEN_RESPONSES_S = 5
"""How long a stopping server waits for responses still being sent; an endless stream is cut off then."""

log = structlog.get_logger()


class AddressTakenError(Exception):
    """Another program listens on the address. The message names it."""


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
        import uvloop  # noqa: PLC0415 - not installed on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Server(uvicorn.Server):
    """Leaves the signals to us: uvicorn would raise them again after it stopped, and the exit code would be theirs."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve_http(app: Any, host: str, port: int, stop: asyncio.Event) -> None:
    """Serves an ASGI application until `stop`, finishing the requests in flight. Raises AddressTakenError."""
    listening = listen(host, port)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=OPEN_RESPONSES_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    server.should_exit = True
    await serving


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound here so that a taken address is one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise AddressTakenError(f"Can't listen on {host}, port {port}: {error.strerror or error}.") from error
    bound.setblocking(False)
    return bound
