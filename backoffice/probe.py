"""Health and metrics of a process that serves no pages: `/livez`, `/readyz` and `/metrics` on a port of its own.

It answers from a thread, so it can say that the event loop no longer turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse

from prometheus_client import CollectorRegistry, make_wsgi_app

from .address import AddressTakenError
from .loop_turns import LoopTurns
from .troubles import Troubles

STUCK_S = 10.0
"""How long a turn of the event loop may take before the process counts as stuck."""


@contextlib.asynccontextmanager
async def probe(
    host: str, port: int, registry: CollectorRegistry, troubles: Troubles, turns: LoopTurns
) -> AsyncIterator[None]:
    """Answers while the block runs; does nothing for port 0. `turns` are those of the loop that it runs in.

    Raises AddressTakenError.
    """
    if not port:
        yield
        return
    answers = _Answers(registry, troubles, turns)
    try:
        server = make_server(host, port, answers, handler_class=_Silent)
    except OSError as error:
        raise AddressTakenError(f"Can't listen on {host}, port {port}: {error.strerror or error}.") from error
    threading.Thread(target=server.serve_forever, name="probe", daemon=True).start()
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


class _Silent(WSGIRequestHandler):
    timeout = 5
    """Seconds after which a client that sends nothing is hung up on: there is one thread."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the standard library
        """A probe's every request is not worth a line."""


class _Answers:
    """The WSGI application."""

    def __init__(self, registry: CollectorRegistry, troubles: Troubles, turns: LoopTurns) -> None:
        self._metrics: Any = make_wsgi_app(registry)
        self._troubles = troubles
        self._turns = turns

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = self._metrics(environ, start_response)
            return found
        still_s = self._turns.turning_s
        stuck = {"event loop": f"has not turned for {still_s:.0f} s"} if still_s > STUCK_S else {}
        if path == "/livez":
            return _answer(start_response, stuck)
        if path == "/readyz":
            return _answer(start_response, {**stuck, **self._troubles.now()})
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/livez, /readyz, /metrics\n"]


def _answer(start_response: StartResponse, troubles: Mapping[str, str]) -> Iterable[bytes]:
    status = "503 Service Unavailable" if troubles else "200 OK"
    start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps({"status": "fail" if troubles else "pass", "troubles": dict(troubles)}).encode() + b"\n"]
