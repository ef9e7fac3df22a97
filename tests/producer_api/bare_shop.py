"""A bare HTTP shop on a real socket: it keeps what it is sent once per idempotency key, and fails when told to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from .serving import Serving

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
    serving: Serving = field(default_factory=Serving)

    @property
    def url(self) -> str:
        return self.serving.url

    async def open(self) -> None:
        await self.serving.open(self._app)

    async def die(self) -> None:
        await self.serving.die()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
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
            await self.serving.dying.wait()
            return
        await _send(send, status, headers, {"order_id": f"order-{before}"} if call.path == "/v1/orders" else {})

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
        sums = Sums()
        orders = {call.body["order_id"]: call.body for call in self.taken("/v1/orders")}
        for call in self.taken("/payments"):
            sums.sold(orders[call.path.split("/")[3]], call.body["at"])
        for call in self.taken("/v1/refunds"):
            sums.went_back(call.body, call.body["at"])
        return sums.table()


class Sums:
    """Figures per product, London day and currency, from the lines of orders and refunds."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str, str], Counter[str]] = {}

    def sold(self, order: Any, at: str) -> None:
        self._add(order, at, ("orders", "units_sold", "gross_minor"))

    def went_back(self, refund: Any, at: str) -> None:
        self._add(refund, at, ("refunds", "units_refunded", "refunded_minor"))

    def _add(self, lines_of: Any, at: str, names: tuple[str, str, str]) -> None:
        day = datetime.fromisoformat(at).astimezone(LONDON).date().isoformat()
        for line in lines_of["lines"]:
            cell = self._cells.setdefault((line["product_id"], day, lines_of["currency"]), Counter())
            cell[names[1]] += line["quantity"]
            cell[names[2]] += line["amount_minor"]
        for product_id in {line["product_id"] for line in lines_of["lines"]}:
            self._cells[product_id, day, lines_of["currency"]][names[0]] += 1

    def table(self) -> list[tuple[Any, ...]]:
        names = ("orders", "units_sold", "gross_minor", "refunds", "units_refunded", "refunded_minor")
        return [
            (*key, *(cell[name] for name in names), cell["gross_minor"] - cell["refunded_minor"])
            for key, cell in sorted(self._cells.items())
        ]


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
