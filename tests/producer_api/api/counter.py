"""A shop's counter: the real application over a real database file, called in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from litestar import Litestar

from producer_api.app import ApiLimits, create_app
from producer_api.backpressure import Backpressure
from producer_api.commerce import Commerce
from producer_api.metrics import ApiMeter
from tests.servers.commerce import Rows, ShopDatabase

from .description import Description

PRODUCT = {"name": "White hanging heart t-light holder", "price_minor": 255, "currency": "GBP"}


@dataclass
class Counterside:
    database: ShopDatabase
    commerce: Commerce
    client: httpx.AsyncClient
    pressure: Backpressure
    description: Description

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        **headers: str,
    ) -> httpx.Response:
        """`body` goes as JSON; `raw` goes as it is."""
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json"} if content is not None else {}
        if key is not None:
            sent["idempotency-key"] = key
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        response = await self.client.request(method, path, content=content, headers=sent)
        self.description.check(response)
        return response

    async def list_product(self, product_id: str = "85123A", **changes: Any) -> httpx.Response:
        return await self.call("PUT", f"/v1/products/{quote(product_id, safe='')}", {**PRODUCT, **changes})

    async def view(self, product_id: str = "85123A", **fields: Any) -> httpx.Response:
        path = f"/v1/products/{quote(product_id, safe='')}/views"
        return await self.call("POST", path, {"visitor_id": "visitor-1", **fields})

    async def place_order(self, order_id: str, *lines: dict[str, Any], **fields: Any) -> httpx.Response:
        body = {"order_id": order_id, "lines": list(lines) or [line()], **fields}
        return await self.call("POST", "/v1/orders", body)

    async def pay(self, order_id: str, outcome: str = "completed", **fields: Any) -> httpx.Response:
        return await self.call(
            "POST", f"/v1/orders/{quote(order_id, safe='')}/payments", {"outcome": outcome, **fields}
        )

    async def paid_order(self, order_id: str, *lines: dict[str, Any], **fields: Any) -> None:
        assert (await self.place_order(order_id, *lines)).status_code == 201
        assert (await self.pay(order_id, **fields)).status_code == 201

    async def refund(self, *lines: dict[str, Any], **fields: Any) -> httpx.Response:
        return await self.call("POST", "/v1/refunds", {"lines": list(lines) or [line()], **fields})

    def rows(self, statement: str) -> Sequence[Any]:
        return self.database.rows(statement)

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """The envelopes in the outbox, in the order of recording; only those of one type where it is named."""
        every = [json.loads(payload) for (payload,) in self.rows("SELECT payload FROM outbox ORDER BY id")]
        return [event for event in every if not name or f".{name}." in event["type"]]

    def kinds(self) -> Mapping[str, int]:
        return Counter(event["type"].split(".")[-2] for event in self.events())

    def check_books(self) -> None:
        """Every change of state has its outbox row, and every outbox row its change of state: at one moment, always."""
        with self.database.snapshot() as rows:
            Books(rows).check()


class Books:
    """The shop's state and what its outbox tells, as one snapshot shows them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        every = [json.loads(payload) for (payload,) in self._rows("SELECT payload FROM outbox ORDER BY id")]
        self._taken_in = [event for event in every if "originid" in event]
        self._own = [event for event in every if "originid" not in event]

    def check(self) -> None:
        listed = Counter(event["data"]["product_id"] for event in self._told("ProductListed"))
        assert listed == dict(self._rows("SELECT product_id, version FROM products"))
        self._check_likes()
        settled = [*self._told("PaymentCompleted"), *self._told("PaymentFailed")]
        assert _ids(settled) == self._stored("SELECT event_id FROM payments")
        assert self._stored("SELECT order_id FROM orders WHERE status <> 'pending'") == self._stored(
            "SELECT order_id FROM payments"
        )
        assert _ids(self._told("PaymentRefunded")) == self._stored("SELECT event_id FROM refunds")
        assert _ids(self._taken_in) == self._stored("SELECT event_id FROM accepted_events")

    def _check_likes(self) -> None:
        sums: Counter[tuple[str, str]] = Counter()
        for event in self._told("LikeChanged"):
            sums[event["data"]["product_id"], event["data"]["user_id"]] += event["data"]["delta"]
        assert set(sums.values()) <= {0, 1}
        likes = {pair for pair, total in sums.items() if total}
        assert likes == set(self._rows("SELECT product_id, user_id FROM likes"))
        counted = Counter(product_id for product_id, _ in likes)
        for product_id, number in self._rows("SELECT product_id, likes FROM products"):
            assert counted[product_id] == number

    def _told(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self._own if f".{name}." in event["type"]]

    def _stored(self, statement: str) -> list[str]:
        return sorted(one for (one,) in self._rows(statement))


def _ids(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["id"] for event in events)


def line(product_id: str = "85123A", quantity: int = 6, amount_minor: int = 1530) -> dict[str, Any]:
    return {"product_id": product_id, "quantity": quantity, "amount_minor": amount_minor}


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The body of a problem, after the look at what every problem has."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )
    body: dict[str, Any] = response.json()
    assert (body["status"], body["type"]) == (status, f"urn:countinghouse:problem:{slug}"), body
    assert body["title"]
    assert body["detail"]
    assert body["instance"].startswith("urn:uuid:")
    assert "Traceback" not in response.text
    return body


def pointers(body: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in body["errors"]]


@contextlib.asynccontextmanager
async def alive(app: Litestar) -> AsyncIterator[None]:
    """The application's lifespan in a task of its own, as a server runs it; a fixture begins and ends in two."""
    stop = asyncio.Event()
    started = asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    task = asyncio.create_task(live())
    await started.wait()
    try:
        yield
    finally:
        stop.set()
        await task


@contextlib.asynccontextmanager
async def open_counter(database: ShopDatabase, **limits: Any) -> AsyncIterator[Counterside]:
    meter = ApiMeter()
    pressure = Backpressure()
    commerce = database.commerce(committed=meter.committed)
    await commerce.prepare()
    try:
        app = create_app(commerce, limits=ApiLimits(pressure=pressure, **limits), meter=meter)
        asgi: Any = app
        transport = httpx.ASGITransport(asgi)
        async with alive(app), httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            description = Description(app.openapi_schema.to_schema())
            yield Counterside(database, commerce, client, pressure, description)
    finally:
        await commerce.close()
