"""What a shop records and what it says of it are one: both are there after any failure, or neither is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from producer_api.commerce import BasketLine, Command, ListProduct, Pay, PlaceOrder, RecordView, SetLike
from producer_api.refusals import Refused
from tests.servers.commerce import EVERY, ShopDatabase

from .line import TOPICS

AT = datetime(2026, 1, 1, tzinfo=UTC)


COUNT_STATE = "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM likes), (SELECT count(*) FROM payments)"
SELECT_EVENTS = "SELECT payload FROM outbox"
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


def _recorded(database: ShopDatabase) -> tuple[int, int]:
    """How many calls left their state, and how many outbox rows there are for them."""
    with database.snapshot() as rows:
        events = [payload for (payload,) in rows(SELECT_EVENTS) if b"ProductView" not in payload]
        return sum(rows(COUNT_STATE)[0]), len(events)


def _cut_at(commit: int) -> Callable[[], None]:
    passed = 0

    def cut() -> None:
        nonlocal passed
        passed += 1
        if passed == commit:
            raise PowerCut

    return cut


@pytest.mark.parametrize("commit", range(1, 6))
@pytest.mark.parametrize("side", ["before_commit", "after_commit"])
@pytest.mark.parametrize("database", EVERY, indirect=True)
async def test_state_and_event_are_recorded_together_or_not_at_all(
    database: ShopDatabase, side: str, commit: int
) -> None:
    """One commit fails, on either side of it; a client that got no answer asks a second time."""
    commerce = database.commerce(topics=TOPICS, **{side: _cut_at(commit)})
    await commerce.prepare()
    for command in _course():
        with suppress(PowerCut):
            await commerce.perform(command)
            continue
        (state, rows) = _recorded(database)
        assert state == rows
        with suppress(Refused):  # It went through the first time.
            await commerce.perform(command)
    await commerce.close()
    assert _recorded(database) == (3, 3)
