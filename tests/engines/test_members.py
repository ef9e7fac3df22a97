"""Consumers that come and go: partitions change hands, and counting goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from event_store.lease import owners_of
from event_store.postgres_leases import PostgresLeases
from tests.faults.shop import until

from .conftest import either_fetch
from .line import TOPICS, Engines, Line, Member, at_work, open_line

STORM_S = 60.0
TURN_S = 2.0
LONGEST_PAUSE_S = 10.0
LOOK_S = 0.25


@pytest.fixture
async def line(engines: Engines, postgres_url: str) -> AsyncIterator[Line]:
    async with open_line(replace(engines, backoffice_url=postgres_url)) as one:
        yield one


@pytest.fixture
async def leases(postgres_url: str) -> AsyncIterator[PostgresLeases]:
    one = PostgresLeases(postgres_url)
    yield one
    await one.close()


@either_fetch
@pytest.mark.timeout(240)
async def test_fault_19_members_that_join_leave_and_die_every_two_seconds_for_a_minute_never_stop_the_counting(
    line: Line,
) -> None:
    """With the leases and renewals of the default settings. Of those that go every third one dies."""
    usual: dict[str, Any] = {"lease_ttl_s": 15.0, "renew_s": 5.0}
    members = [line.consumer(f"member-{number}", **usual) for number in range(2)]
    pauses = asyncio.create_task(_pauses(line, STORM_S))
    async with at_work(line.relay()):
        async with line.under_load(events_per_s=100):
            turn = 0
            while not pauses.done():
                await asyncio.sleep(TURN_S)
                members.append(line.consumer(f"member-{len(members) + turn}", **usual))
                turn += 1
                await _go(members.pop(0), dies=turn % 3 == 0)
        async with at_work(*members):
            status = await line.counted()
    assert max(await pauses) < LONGEST_PAUSE_S
    assert sum(one.duplicates for one in status.partitions) == 0


async def _go(member: Member, *, dies: bool) -> None:
    await (member.die() if dies else member.leave())


async def _pauses(line: Line, for_s: float) -> list[float]:
    """How long no position moved, each time."""
    loop = asyncio.get_running_loop()
    (end_s, moved_s, counted) = (loop.time() + for_s, loop.time(), 0)
    found: list[float] = []
    while loop.time() < end_s:
        await asyncio.sleep(LOOK_S)
        now = sum((await line.positions()).values())
        if now > counted:
            found.append(loop.time() - moved_s)
            (counted, moved_s) = (now, loop.time())
    return [*found, loop.time() - moved_s]


@either_fetch
async def test_of_more_members_than_partitions_the_surplus_idles_and_takes_over_from_one_that_dies(
    line: Line, leases: PostgresLeases
) -> None:
    """Of one topic's partitions: those of the other are shared for themselves."""
    members = {f"member-{number}": line.consumer(f"member-{number}") for number in range(TOPICS["order-events"] + 1)}

    async def all_are_there() -> bool:
        return set(owners_of(await leases.holdings("member/")).values()) == set(members)

    async def counting() -> set[str]:
        return set(owners_of(await leases.holdings("partition/order-events/")).values())

    async def all_but_one_count() -> bool:
        return len(await counting()) == TOPICS["order-events"]

    await until(all_are_there)
    await until(all_but_one_count)
    async with at_work(line.relay()):
        await line.write(300)
        await line.counted()
        [idle] = members.keys() - await counting()
        await members.pop(min(await counting())).die()
        await line.write(300)

        async def the_idle_one_counts() -> bool:
            return idle in await counting()

        await until(the_idle_one_counts)
        async with at_work(*members.values()):
            await line.counted()
            assert await counting() == set(members)
