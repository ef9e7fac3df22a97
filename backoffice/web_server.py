"""The web server that each of our web processes runs in its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from typing import Any

import uvicorn
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from event_store import interpreter
from event_store.backoff import sleep_unless

from .address import listen

OPEN_RESPONSES_S = 5
"""How long a stopping server waits for responses still being sent; an endless stream is cut off then."""

DATE_EVERY_S = 1.0
"""How often the Date header of the answers is made anew."""
DATE_TICK = 0
"""A tick of uvicorn's at which it does that."""


class _Server(uvicorn.Server):
    """Leaves the signals to us: uvicorn would raise them again after it stopped, and the exit code would be theirs."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._stop = stop

    async def main_loop(self) -> None:
        """The base class looks ten times a second whether it should end, which is half of what an idle server costs."""
        while not self._stop.is_set() and not await self.on_tick(DATE_TICK):
            await sleep_unless(self._stop, DATE_EVERY_S)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _CutOff:
    """An application whose requests, cut off when the server stops, end in an answer instead of a trace-back."""

    def __init__(self, app: ASGIApp, stop: asyncio.Event) -> None:
        self._app = app
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if scope["type"] != ScopeType.HTTP or not self._stop.is_set():
                raise
            if not begun:
                await _answer_stopping(send)


async def _answer_stopping(send: Send) -> None:
    """What a client that repeats its request needs to know: not now, and soon."""
    headers = [(b"retry-after", b"1"), (b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def serve_http(
    app: Any, host: str, port: int, stop: asyncio.Event, protocol: type[asyncio.Protocol] | None = None
) -> None:
    """Serves an ASGI application until `stop`, finishing the requests in flight. Raises AddressTakenError.

    `protocol` is one of uvicorn's HTTP protocols, with bounds of its own perhaps.
    """
    listening = listen(host, port)
    config = uvicorn.Config(
        _CutOff(app, stop),
        http=protocol or "httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=OPEN_RESPONSES_S,
    )
    server = _Server(config, stop)
    interpreter.made_for_requests()
    serving = asyncio.create_task(server.serve([listening]))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    server.should_exit = True
    await serving
