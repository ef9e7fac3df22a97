"""What a shop records and what it says of it are one: both are there after any failure, or neither is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producer_api.commerce import BasketLine, Command, ListProduct, Pay, PlaceOrder, RecordView, SetLike
from producer_api.refusals import Refused
from producer_api.sqlite_commerce import SqliteCommerce

from .line import TOPICS

AT = datetime(2026, 1, 1, tzinfo=UTC)


COUNT_STATE = "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM likes), (SELECT count(*) FROM payments)"
COUNT_EVENTS = "SELECT count(*) FROM outbox WHERE CAST(payload AS TEXT) NOT LIKE '%ProductView%'"
"""A view leaves no state behind."""


class PowerCut(Exception):
    """The process ends here, as far as its own code can tell."""


def _course() -> list[Command]:
    """One call after the other, each with one event but the order, which has none."""
    return [
        ListProduct("lantern", "Lantern", 250, "GBP"),
        RecordView("lantern", "visitor", AT),
        SetLike("lantern", "user", liked=True),
        PlaceOrder("order", "GBP", None, [BasketLine("lantern", 2, 500)]),
        Pay("order", "payment", "completed", AT),
    ]


def _recorded(path: Path) -> tuple[int, int]:
    """How many calls left their state, and how many outbox rows there are for them."""
    connection = sqlite3.connect(path)
    try:
        state = sum(connection.execute(COUNT_STATE).fetchone())
        rows = connection.execute(COUNT_EVENTS).fetchone()[0]
    finally:
        connection.close()
    return state, rows


def _cut_at(commit: int) -> Callable[[], None]:
    passed = 0

    def cut() -> None:
        nonlocal passed
        passed += 1
        if passed == commit:
            raise PowerCut

    return cut


@pytest.mark.parametrize("commit", range(1, 6))
@pytest.mark.parametrize("side", ["before", "after"])
async def test_state_and_event_are_recorded_together_or_not_at_all(tmp_path: Path, side: str, commit: int) -> None:
    """One commit fails, on either side of it; a client that got no answer asks a second time."""
    (cut, path) = (_cut_at(commit), tmp_path / "commerce.db")
    commerce = (
        SqliteCommerce(path, TOPICS, before_commit=cut)
        if side == "before"
        else SqliteCommerce(path, TOPICS, after_commit=cut)
    )
    await commerce.prepare()
    for command in _course():
        with suppress(PowerCut):
            await commerce.perform(command)
            continue
        (state, rows) = _recorded(path)
        assert state == rows
        with suppress(Refused):  # It went through the first time.
            await commerce.perform(command)
    await commerce.close()
    assert _recorded(path) == (3, 3)
