"""What pauses promise on every database (event_store/pauses.py)."""

from __future__ import annotations

import asyncio
import json

import pytest

from event_store.audit import Audit, Entry
from event_store.pauses import Part, Pause, PauseRefused, Pauses
from event_store.steps import Transactions

from .conftest import Open, Place

ADA = Entry(who="ada", what="", reason="the broker moves", request_id="r1")
BOB = Entry(who="bob", what="")


@pytest.fixture
def pauses(office: Transactions, place: Place) -> Pauses:
    return Pauses(office, place.clock)


async def test_nothing_is_paused_until_somebody_says_so(pauses: Pauses) -> None:
    assert [await pauses.paused(part) for part in Part] == [None] * len(Part)


async def test_a_pause_is_seen_by_every_process_and_by_those_that_come_later(
    open_office: Open[Transactions], place: Place
) -> None:
    (here, there) = [Pauses(await open_office(), place.clock) for _ in range(2)]
    made = await here.pause(Part.RELAY, ADA)
    assert made == Pause("relay", "ada", "the broker moves", place.clock.now_us)
    later = Pauses(await open_office())
    assert [await one.paused(Part.RELAY) for one in (here, there, later)] == [made] * 3
    assert await later.paused(Part.CONSUMER) is None
    assert await there.resume(Part.RELAY, BOB) == made
    assert [await one.paused(Part.RELAY) for one in (here, there, later)] == [None] * 3


async def test_each_act_is_in_the_audit_and_a_refused_one_changes_nothing(
    pauses: Pauses, office: Transactions, place: Place
) -> None:
    with pytest.raises(PauseRefused, match="the consumer isn't paused"):
        await pauses.resume(Part.CONSUMER, BOB)
    made = await pauses.pause(Part.CONSUMER, ADA)
    place.clock.now_us += 5_000_000
    with pytest.raises(PauseRefused, match="the consumer is paused already, by ada"):
        await pauses.pause(Part.CONSUMER, BOB)
    assert await pauses.paused(Part.CONSUMER) == made
    await pauses.resume(Part.CONSUMER, BOB)
    with pytest.raises(PauseRefused, match="the consumer isn't paused"):
        await pauses.resume(Part.CONSUMER, BOB)
    (resumed, paused) = await Audit(office).older()
    assert (paused.who, paused.what, paused.reason, paused.request_id, paused.at_us) == (
        *("ada", "consumer.paused", "the broker moves", "r1", made.at_us),
    )
    assert (json.loads(paused.before), json.loads(paused.after)) == ({"paused": False}, {"paused": True})
    assert (resumed.who, resumed.what, resumed.at_us) == ("bob", "consumer.resumed", made.at_us + 5_000_000)
    before = {"paused": True, "who": "ada", "why": "the broker moves", "at_us": made.at_us}
    assert (json.loads(resumed.before), json.loads(resumed.after)) == (before, {"paused": False})
    assert (await Audit(office).verify()).fault == ""


async def test_of_many_who_pause_at_once_one_does(open_office: Open[Transactions]) -> None:
    desks = [Pauses(await open_office()) for _ in range(3)]
    tries = [one.pause(Part.RELAY, Entry(who=f"who{number}", what="")) for number, one in enumerate(desks * 3)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    (made,) = [one for one in ended if isinstance(one, Pause)]
    assert [type(one) for one in ended].count(PauseRefused) == 8
    assert await desks[0].paused(Part.RELAY) == made


async def test_a_reason_that_some_database_can_not_keep_is_kept_alike(pauses: Pauses) -> None:
    made = await pauses.pause(Part.RELAY, Entry(who="a\x00b", what="", reason="\ud800 why"))
    assert (made.who, made.why) == ("a\ufffdb", "? why")
    assert await pauses.paused(Part.RELAY) == made
