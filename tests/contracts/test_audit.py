"""What the audit promises on every database (event_store/audit.py)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from event_store import audit
from event_store.audit import Audit, Entry, Recorded
from event_store.steps import Steps, Transactions

from .conftest import Clock, Open, Place


def entry(on: str = "bob", **more: Any) -> Entry:
    return Entry(who="ada", what="account.disabled", on=on, **more)


@pytest.fixture
def journal(office: Transactions, place: Place) -> Audit:
    return Audit(office, place.clock)


async def filled(journal: Audit, clock: Clock, rows: int) -> list[Recorded]:
    made = []
    for number in range(rows):
        clock.now_us += 1000
        made.append(await journal.record(entry(f"bob{number}", before={"role": "viewer"}, after={"n": number})))
    return made


async def test_what_was_recorded_is_read_as_it_was_newest_first_and_in_pages(journal: Audit, place: Place) -> None:
    made = await filled(journal, place.clock, 7)
    first = await journal.older(most=3)
    rest = await journal.older(first[-1].number, most=10)
    assert [*first, *rest] == made[::-1]
    assert await journal.newer(2, most=3) == made[2:5]
    assert made[3].after == '{"n": 3}'
    assert (made[0].at_us, made[0].who, made[0].what) == (place.clock.now_us - 6000, "ada", "account.disabled")


async def test_a_chain_that_nobody_touched_is_whole(journal: Audit, place: Place, monkeypatch: Any) -> None:
    assert (await journal.verify()).fault == ""
    monkeypatch.setattr(audit, "CHUNK_ROWS", 3)
    made = await filled(journal, place.clock, 10)
    verdict = await journal.verify({4: made[3].hash})
    assert (verdict.rows, verdict.hash, verdict.fault) == (10, made[-1].hash, "")


async def test_texts_that_some_database_can_not_keep_are_kept_alike(journal: Audit) -> None:
    hostile = "a\x00b\ud800c\u202e</script>"
    await journal.record(entry(hostile, reason=hostile, after={"x": hostile}, request_id="é" * 20_000))
    (row,) = await journal.older()
    assert row.on == "a\ufffdb?c\u202e</script>"
    assert len(row.request_id) == audit.LONGEST_TEXT
    assert (await journal.verify()).fault == ""


async def test_many_who_record_at_once_make_one_chain(open_office: Open[Transactions]) -> None:
    journals = [Audit(await open_office()) for _ in range(3)]
    await asyncio.gather(*(one.record(entry(str(number))) for number in range(10) for one in journals))
    verdict = await journals[0].verify()
    assert (verdict.rows, verdict.fault) == (30, "")


async def test_a_row_is_part_of_the_transaction_that_it_tells_of(office: Transactions, journal: Audit) -> None:
    def fails() -> Steps[None]:
        yield from audit.record(entry(), 1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await office.write(fails())
    await journal.record(entry("after"))
    assert [row.on for row in await journal.older()] == ["after"]
    assert (await journal.verify()).rows == 1


def steps(*statements: str) -> Steps[None]:
    for statement in statements:
        yield statement, {}


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'eve' WHERE number = 2", "DELETE FROM audit"])
async def test_the_database_itself_refuses_to_alter_and_to_delete(
    office: Transactions, journal: Audit, place: Place, statement: str
) -> None:
    made = await filled(journal, place.clock, 3)
    with pytest.raises(Exception, match="only added to"):
        await office.write(steps(statement))
    assert await journal.older() == made[::-1]


WITHOUT_GUARDS = {
    "memory": ("DROP TRIGGER audit_is_not_altered", "DROP TRIGGER audit_is_not_deleted"),
    "sqlite": ("DROP TRIGGER audit_is_not_altered", "DROP TRIGGER audit_is_not_deleted"),
    "postgres": ("ALTER TABLE audit DISABLE TRIGGER USER",),
}
SWAPPED = (
    "UPDATE audit SET number = 99 WHERE number = 2",
    "UPDATE audit SET number = 2 WHERE number = 3",
    "UPDATE audit SET number = 3 WHERE number = 99",
)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (("UPDATE audit SET who = 'eve' WHERE number = 3",), "row 3 was altered"),
        (("UPDATE audit SET reason = 'was allowed' WHERE number = 1",), "row 1 was altered"),
        (("UPDATE audit SET at_us = at_us + 1 WHERE number = 5",), "row 5 was altered"),
        (("UPDATE audit SET before = '', after = before WHERE number = 2",), "row 2 was altered"),
        (("DELETE FROM audit WHERE number = 2",), "row 2 is missing"),
        (("DELETE FROM audit WHERE number = 1",), "row 1 is missing"),
        (("DELETE FROM audit WHERE number = 5",), "row 5 is missing"),
        (("DELETE FROM audit",), "row 1 is missing"),
        (("DELETE FROM audit WHERE number = 5", "UPDATE audit_head SET rows = 4"), "row 5 is missing"),
        (("DELETE FROM audit WHERE number = 2", "UPDATE audit SET number = 2 WHERE number = 3"), "row 2 was altered"),
        (SWAPPED, "row 2 was altered"),
    ],
)
async def test_any_row_that_was_altered_removed_or_moved_is_the_first_that_is_told(
    office: Transactions,
    journal: Audit,
    place: Place,
    request: pytest.FixtureRequest,
    statements: tuple[str, ...],
    words: str,
) -> None:
    await filled(journal, place.clock, 5)
    await office.write(steps(*WITHOUT_GUARDS[request.node.callspec.params["open_office"]], *statements))
    assert (await journal.verify()).fault.startswith(words)


async def test_a_chain_that_was_made_anew_differs_from_a_hash_that_was_noted(
    office: Transactions, journal: Audit, place: Place, request: pytest.FixtureRequest
) -> None:
    made = await filled(journal, place.clock, 3)
    guards = WITHOUT_GUARDS[request.node.callspec.params["open_office"]]
    await office.write(steps(*guards, "DELETE FROM audit", "DELETE FROM audit_head"))
    await filled(journal, place.clock, 4)
    assert (await journal.verify()).fault == ""
    assert "row 3 has another hash than was noted" in (await journal.verify({3: made[2].hash})).fault
    assert "row 5 is missing: there were 9 rows" in (await journal.verify({9: made[2].hash})).fault
