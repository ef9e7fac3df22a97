"""A pause of the line over a real Kafka: nothing moves, nobody loses what they hold, and then it goes on exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from backoffice.consumer_names import GROUP
from event_store.audit import Entry
from event_store.connect import open_shared
from event_store.pause_watch import PauseWatch
from event_store.pauses import Part, Pause, Pauses
from tests.faults.shop import until

from .conftest import either_fetch
from .line import Engines, Line, at_work

LEASE_TTL_S = 3.0
"""As the line's members have it."""
LONG_S = 2.5 * LEASE_TTL_S
"""In which who doesn't renew its leases has lost them."""
ADA = Entry(who="ada", what="", reason="the broker moves")


@dataclass(slots=True)
class Pausing:
    """One part's pause, as its processes learn of it from its database."""

    part: Part
    pauses: Pauses
    heard: list[Pause | None] = field(default_factory=list)

    def watch(self) -> PauseWatch:
        return PauseWatch(partial(self.pauses.paused, self.part), self, every_s=0.2)

    def paused(self, pause: Pause) -> None:
        self.heard.append(pause)

    def resumed(self) -> None:
        self.heard.append(None)

    async def begins(self, processes: int) -> None:
        """Returns when so many processes obey."""
        await self.pauses.pause(self.part, ADA)
        await until(lambda: len(self.heard) == processes)

    async def ends(self) -> None:
        await self.pauses.resume(self.part, ADA)


@pytest.fixture
async def counting(engines: Engines) -> AsyncIterator[Pausing]:
    transactions = open_shared(engines.backoffice_url)
    yield Pausing(Part.CONSUMER, Pauses(transactions))
    await transactions.close()


@pytest.fixture
async def sending(engines: Engines) -> AsyncIterator[Pausing]:
    transactions = open_shared(engines.commerce_url)
    yield Pausing(Part.RELAY, Pauses(transactions))
    await transactions.close()


async def _holders(line: Line) -> list[tuple[str | None, int]]:
    """Who has each partition, and how often it changed hands."""
    return [(one.consumer, one.rebalances) for one in (await line.status()).partitions]


async def _share(line: Line, *owners: str) -> None:
    async def all_count() -> bool:
        return {owner for owner, _ in await _holders(line)} == set(owners)

    await until(all_count)


@either_fetch
async def test_consumers_that_are_paused_for_longer_than_their_leases_keep_their_partitions_and_go_on_exactly(
    line: Line, counting: Pausing
) -> None:
    members = [line.consumer(f"member-{number}", pause=counting.watch()) for number in range(2)]
    async with at_work(line.relay(), *members):
        await _share(line, "member-0", "member-1")
        await line.write(300)
        await line.counted()
        await counting.begins(processes=2)
        (holders, positions) = (await _holders(line), await line.positions())
        await line.write(600)
        await line.sent()
        await asyncio.sleep(LONG_S)
        paused = await line.status()
        noted = await line.log.noted_positions(GROUP)
        assert (await _holders(line), await line.positions()) == (holders, positions)
        assert {tp: noted[tp] for tp in positions} == positions
        assert paused.lag_events > 0
        await counting.ends()
        status = await line.counted()
        assert await _holders(line) == holders
    assert sum(one.duplicates for one in status.partitions) == 0


@either_fetch
async def test_the_heir_of_a_consumer_that_died_while_it_was_paused_is_paused_too(
    line: Line, counting: Pausing
) -> None:
    members = [line.consumer(f"member-{number}", pause=counting.watch()) for number in range(2)]
    async with at_work(line.relay(), members[0]):
        await _share(line, "member-0", "member-1")
        await line.write(300)
        await line.counted()
        await counting.begins(processes=2)
        positions = await line.positions()
        await line.write(600)
        await line.sent()
        await members[1].die()
        await _share(line, "member-0")
        await asyncio.sleep(LEASE_TTL_S)
        assert await line.positions() == positions
        await counting.ends()
        status = await line.counted()
    assert sum(one.duplicates for one in status.partitions) == 0


async def test_a_relay_that_is_paused_for_longer_than_its_leases_keeps_its_lanes_and_sends_each_row_once(
    line: Line, sending: Pausing
) -> None:
    async with at_work(line.relay("relay-0", pause=sending.watch()), line.consumer()):
        await line.write(300)
        await line.counted()
        await sending.begins(processes=1)
        before = await line.status()
        await line.write(600)
        await asyncio.sleep(LONG_S)
        paused = await line.status()
        assert {lane.owner for lane in paused.lanes} == {"relay-0"}
        assert [one.log_end for one in paused.partitions] == [one.log_end for one in before.partitions]
        assert paused.waiting_rows > 0
        await sending.ends()
        await line.sent()
        status = await line.counted()
    assert sum(one.duplicates for one in status.partitions) == 0
    assert sum(one.log_end for one in status.partitions) == len(line.written)
