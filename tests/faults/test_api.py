"""The API dies, or its client does: what was answered is kept, what wasn't can be asked again."""

from __future__ import annotations

import random
import socket
import sqlite3
import struct
from typing import Any

import httpx
import psutil
import pytest

from .shop import Row, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

FIRST_REQUEST = 2
"""Transactions of the API: it forgets old answers when it starts, then the first request's comes."""
SEED = 31
ORDERS = 40


async def test_an_order_whose_commit_never_came_left_nothing_and_is_taken_when_asked_again(shop: Shop) -> None:
    api = shop.start("api", COUNTINGHOUSE_CRASH_AT=f"api.before_commit:{FIRST_REQUEST + 1}")
    await api.is_up()
    await _list_product(shop)
    with pytest.raises(httpx.TransportError):
        await _post(shop, "/v1/orders", _order("1"), "key-1")
    await api.died_at_its_crash_point()
    assert shop.sql(shop.commerce_db, "SELECT * FROM orders") == []
    assert shop.sql(shop.commerce_db, "SELECT count(*) FROM outbox") == [(1,)], "the product alone"

    api = shop.start("api")
    await api.is_up()
    placed = await _post(shop, "/v1/orders", _order("1"), "key-1")
    assert (placed.status_code, "idempotent-replayed" in placed.headers) == (201, False)
    assert shop.sql(shop.commerce_db, "SELECT count(*) FROM orders") == [(1,)]


async def test_a_payment_whose_answer_was_lost_is_answered_again_and_counted_once(shop: Shop) -> None:
    (api, *_) = shop.start_line()
    await api.is_up()
    await _list_product(shop)
    assert (await _post(shop, "/v1/orders", _order("1"), "key-1")).status_code == 201
    assert api.stop() == 0
    api = shop.start("api", COUNTINGHOUSE_CRASH_AT=f"api.after_commit:{FIRST_REQUEST}")
    await api.is_up()
    with pytest.raises(httpx.TransportError):
        await _post(shop, "/v1/orders/1/payments", _payment("1"), "key-2")
    await api.died_at_its_crash_point()

    api = shop.start("api")
    await api.is_up()
    again = await _post(shop, "/v1/orders/1/payments", _payment("1"), "key-2")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    written = shop.sql(shop.commerce_db, "SELECT event_id FROM outbox WHERE key = '1'")
    assert written == [(again.json()["event_id"],)]
    await shop.drained()
    assert await shop.figures("product") == [_sold(1)]


async def test_clients_that_hang_up_leave_state_and_events_at_one(shop: Shop) -> None:
    """Payments cut off after any byte, the last one included, whose answer nobody waits for."""
    (api, *_) = shop.start_line()
    await api.is_up()
    await _list_product(shop)
    for number in range(ORDERS):
        assert (await _post(shop, "/v1/orders", _order(str(number)), f"order-{number}")).status_code == 201
    chance = random.Random(SEED)
    for number in range(ORDERS):
        request = _raw_payment(shop, str(number))
        sent = len(request) if chance.random() < 0.5 else chance.randrange(len(request))
        _hang_up(shop.api_port, request[:sent], at_once=chance.random() < 0.5)

    async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as client:
        paid = [n for n in range(ORDERS) if (await client.get(f"/v1/orders/{n}")).json()["status"] == "paid"]
    assert 0 < len(paid) < ORDERS
    await shop.drained()
    assert await shop.figures("product") == [_sold(len(paid))]

    for number in range(ORDERS):
        again = await _post(shop, f"/v1/orders/{number}/payments", _payment(str(number)), f"payment-{number}")
        assert (again.status_code, "idempotent-replayed" in again.headers) == (201, number in paid)
    await shop.drained()
    assert await shop.figures("product") == [_sold(ORDERS)]
    process = psutil.Process(api.process.pid)
    await until(lambda: all(one.status != psutil.CONN_ESTABLISHED for one in process.net_connections()), api)
    connection = sqlite3.connect(shop.commerce_db, isolation_level=None, timeout=5)
    connection.execute("BEGIN IMMEDIATE")  # No transaction of a client that went away is still open.
    connection.close()


def _order(order_id: str) -> dict[str, Any]:
    lines = [{"product_id": "A", "quantity": 2, "amount_minor": 300}]
    return {"order_id": order_id, "currency": "GBP", "lines": lines}


def _sold(orders: int) -> Row:
    return ("A", "GBP", orders, 2 * orders, 300 * orders, 0, 0, 0, 300 * orders)


def _payment(order_id: str) -> dict[str, Any]:
    return {"payment_id": order_id, "outcome": "completed", "at": "2011-03-04T12:30:00Z"}


async def _list_product(shop: Shop) -> None:
    async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as client:
        body = {"name": "White hanging heart", "price_minor": 150, "currency": "GBP"}
        assert (await client.put("/v1/products/A", json=body)).is_success


async def _post(shop: Shop, path: str, body: Any, key: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as client:
        return await client.post(path, json=body, headers={"Idempotency-Key": key})


def _raw_payment(shop: Shop, order_id: str) -> bytes:
    request = httpx.Request(
        "POST",
        f"{shop.api_url}/v1/orders/{order_id}/payments",
        json=_payment(order_id),
        headers={"Idempotency-Key": f"payment-{order_id}"},
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.content


def _hang_up(port: int, sent: bytes, *, at_once: bool) -> None:
    """Sends and closes; `at_once` resets the connection instead of ending it."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(sent)
        if at_once:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
