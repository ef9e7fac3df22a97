"""A bare HTTP shop on a real socket: it keeps what it is sent once per idempotency key, and fails when told to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import uvicorn

LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    key: str | None
    body: Any


@dataclass
class Misfortune:
    """What happens to a call instead of an answer."""

    status: int
    """0: the call is taken, and its answer never comes."""
    headers: dict[str, str] = field(default_factory=dict)
    problem: dict[str, Any] = field(default_factory=dict)


@dataclass
class BareShop:
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    """Every call that was read, answered well or not."""
    kept: dict[str, Call] = field(default_factory=dict)
    """Idempotency key -> the call it stands for."""
    products: dict[str, Any] = field(default_factory=dict)
    misfortune: Callable[[Call, int], Misfortune | None] = lambda _, __: None
    """Given a call and how many came before it."""
    thinks_s: float = 0.0
    """How long it takes over each answer."""
    busiest: int = 0
    connections: set[Any] = field(default_factory=set)
    """Client addresses: one for each connection."""
    _busy: int = 0
    _server: uvicorn.Server | None = None
    _serving: asyncio.Task[None] | None = None
    _dying: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(self._app, interface="asgi3", log_level="critical", lifespan="off", ws="none")
        self._dying = asyncio.Event()
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server._serve([listener]))
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def die(self) -> None:
        """Cuts every connection, calls under way included."""
        if self._server is None or self._serving is None:
            return
        self._dying.set()
        for listener in self._server.servers:
            listener.close()
        self._server.force_exit = True
        self._server.should_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await self._serving

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        call = await _read(scope, receive)
        self.connections.add(tuple(scope["client"]))
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        try:
            await asyncio.sleep(self.thinks_s)
            await self._answer(call, send)
        finally:
            self._busy -= 1

    async def _answer(self, call: Call, send: Any) -> None:
        before = len(self.calls)
        self.calls.append(call)
        misfortune = self.misfortune(call, before)
        if misfortune is not None and misfortune.status:
            await _send(send, misfortune.status, misfortune.headers, misfortune.problem)
            return
        (status, headers) = self._take(call)
        if misfortune is not None:
            await self._dying.wait()
            return
        await _send(send, status, headers, {})

    def _take(self, call: Call) -> tuple[int, dict[str, str]]:
        if call.method == "PUT":
            self.products[call.path.removeprefix("/v1/products/")] = call.body
            return (200, {})
        if call.key is None:
            return (400, {})
        first = self.kept.setdefault(call.key, call)
        if first != call:
            return (422, {})
        return (201, {"Idempotent-Replayed": "true"} if first is not call else {})

    def taken(self, path_end: str) -> list[Call]:
        return [call for call in self.kept.values() if call.path.endswith(path_end)]

    def figures(self) -> list[tuple[Any, ...]]:
        """What the calls that were taken amount to, as tests/retail_oracle.py tells it."""
        cells: dict[tuple[str, str, str], Counter[str]] = {}
        orders = {call.body["order_id"]: call.body for call in self.taken("/v1/orders")}
        for call in self.taken("/payments"):
            order = orders[call.path.split("/")[3]]
            _add(cells, order, call.body["at"], ("orders", "units_sold", "gross_minor"))
        for call in self.taken("/v1/refunds"):
            _add(cells, call.body, call.body["at"], ("refunds", "units_refunded", "refunded_minor"))
        names = ("orders", "units_sold", "gross_minor", "refunds", "units_refunded", "refunded_minor")
        return [
            (*key, *(cell[name] for name in names), cell["gross_minor"] - cell["refunded_minor"])
            for key, cell in sorted(cells.items())
        ]


def _add(cells: dict[tuple[str, str, str], Counter[str]], sold: Any, at: str, names: tuple[str, str, str]) -> None:
    day = datetime.fromisoformat(at).astimezone(LONDON).date().isoformat()
    products = [line["product_id"] for line in sold["lines"]]
    for line in sold["lines"]:
        cell = cells.setdefault((line["product_id"], day, sold["currency"]), Counter())
        cell[names[1]] += line["quantity"]
        cell[names[2]] += line["amount_minor"]
    for product_id in set(products):
        cells[product_id, day, sold["currency"]][names[0]] += 1


async def _read(scope: Any, receive: Any) -> Call:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    key = dict(scope["headers"]).get(b"idempotency-key")
    path = unquote(scope["raw_path"].decode())
    return Call(scope["method"], path, key.decode() if key else None, json.loads(body) if body else None)


async def _send(send: Any, status: int, headers: dict[str, str], body: Any) -> None:
    content = json.dumps(body).encode()
    named = {**headers, "content-type": "application/json", "content-length": str(len(content))}
    pairs = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
