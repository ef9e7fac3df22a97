"""A commerce database whose disk is full."""

from __future__ import annotations

import sqlite3

from tests.servers.commerce import SQLITE

from .counter import Counterside, line, problem

DATABASES = (SQLITE,)


async def test_a_full_disk_keeps_what_was_acknowledged_and_heals(counter: Counterside) -> None:
    """The bound on pages belongs to the connection, which is thrown away with its error, as the disk gets room."""
    file = counter.commerce._file  # type: ignore[attr-defined]

    def fill(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")

    lines = [line("71053", 1, 1)] * 500
    answered: dict[str, int] = {}
    for round_ in range(3):
        await file.write(fill)
        for number in range(round_ * 10, round_ * 10 + 10):
            response = await counter.place_order(f"order-{number}", *lines)
            answered[f"order-{number}"] = response.status_code
            if response.status_code != 201:
                problem(response, 503, "storage-unavailable")
                break
        assert 503 in answered.values()
    kept = {order for (order,) in counter.rows("SELECT order_id FROM orders")}
    assert kept == {order for order, status in answered.items() if status == 201}
    for order in answered:
        assert (await counter.place_order(order, *lines)).status_code == 201
        assert (await counter.pay(order)).status_code == 201
