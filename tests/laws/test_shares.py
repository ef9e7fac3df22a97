"""Consumers share partitions evenly, whoever comes and goes, and nothing moves while nobody does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.shares import shares
from event_store.backoff import Backoff
from event_store.lease import Holding
from event_store.memory_log import MemoryLog
from projections.catalogue import PROJECTIONS
from projections.projector import Projector

from .line import Line, in_virtual_time

SETTLED_S = 40.0
"""A lease's time for those who died, and a few renewals."""
NAMES = st.sets(st.text("abcxyz0123456789-", min_size=1, max_size=6), min_size=1, max_size=20)


@given(
    topics=st.dictionaries(st.text("abc", min_size=1), st.integers(1, 40), min_size=1, max_size=4),
    members=NAMES,
)
def test_every_partition_has_one_place_and_nobody_has_two_more_than_another(
    topics: dict[str, int], members: set[str]
) -> None:
    found = shares(topics, members)
    assert found.keys() == members
    assert {topic: sum(own[topic] for own in found.values()) for topic in topics} == topics
    for topic, partitions in topics.items():
        assert {own[topic] for own in found.values()} <= _even(partitions, len(members))
    assert {sum(own.values()) for own in found.values()} <= _even(sum(topics.values()), len(members))


def _even(partitions: int, members: int) -> set[int]:
    """Floor and ceiling of an even share."""
    return {partitions // members, -(-partitions // members)}


@given(
    topics=st.dictionaries(st.text("abc", min_size=1), st.integers(1, 12), min_size=1, max_size=3),
    members=NAMES,
    added=st.text("abcxyz0123456789-", min_size=1, max_size=6),
)
def test_a_member_that_joins_costs_each_other_one_partition_of_a_topic_or_its_even_part(
    topics: dict[str, int], members: set[str], added: str
) -> None:
    (before, after) = (shares(topics, members), shares(topics, members | {added}))
    for member in members:
        for topic, partitions in topics.items():
            lost = before[member][topic] - after[member][topic]
            assert -1 <= lost <= 1 + partitions // len(members) - partitions // (len(members) + 1)


def _consumer(line: Line, name: str, topics: Mapping[str, int]) -> Consumer:
    def open_projector(generation: int) -> Projector:
        return Projector(line.read_model, generation, True, PROJECTIONS, line.codec)

    settings = ConsumerSettings(name, topics)
    return Consumer(
        line.log, line.leases, line.read_model, open_projector, settings, line.observed, Backoff(), clock=line.clock
    )


class _Crew:
    """Consumers at work on topics of their own."""

    def __init__(self, line: Line, topics: Mapping[str, int]) -> None:
        self.line = line
        self.topics = topics
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.stops: dict[str, asyncio.Event] = {}

    def joins(self, name: str) -> None:
        stop = self.stops[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(_consumer(self.line, name, self.topics).run(stop))

    async def leaves(self, name: str) -> None:
        self.stops[name].set()
        await self.tasks.pop(name)

    async def dies(self, name: str) -> None:
        """It gives nothing back."""
        task = self.tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def holdings(self) -> Sequence[Holding]:
        return await self.line.leases.holdings("partition/")

    async def shares_evenly(self) -> None:
        await asyncio.sleep(SETTLED_S)
        held = await self.holdings()
        assert len(held) == sum(self.topics.values())
        for topics in (self.topics, *({topic: count} for topic, count in self.topics.items())):
            owners = Counter(one.owner for one in held if one.name.split("/")[1] in topics)
            assert owners.keys() <= self.tasks.keys()
            owned = {owners[name] for name in self.tasks}
            assert owned <= _even(sum(topics.values()), len(self.tasks)), owners

    async def moves_nothing(self) -> None:
        before = await self.holdings()
        await asyncio.sleep(60.0)
        assert await self.holdings() == before


@pytest.mark.parametrize("members", range(1, 9))
@pytest.mark.parametrize("topics", [{"order-events": 6}, {"catalog-events": 6, "order-events": 6}], ids=len)
def test_any_number_of_consumers_shares_six_partitions_evenly_and_then_moves_none(
    topics: dict[str, int], members: int
) -> None:
    async def share(line: Line) -> None:
        crew = await _crew(line, topics)
        for number in range(members):
            crew.joins(f"member-{number}")
        await crew.shares_evenly()
        await crew.moves_nothing()
        assert len({one.owner for one in await crew.holdings()}) == min(members, sum(topics.values()))
        await _all_leave(crew)

    in_virtual_time(share)


def test_after_each_that_joins_leaves_or_dies_the_shares_are_even_again() -> None:
    async def come_and_go(line: Line) -> None:
        crew = await _crew(line, {"catalog-events": 6, "order-events": 6})
        for name in ("m", "c", "z", "a"):
            crew.joins(name)
            await asyncio.sleep(1.0)
            await crew.shares_evenly()
        for name in ("c", "z"):
            await crew.dies(name)
            await crew.shares_evenly()
        for name in ("b", "c", "y", "z", "n"):
            crew.joins(name)
        await crew.shares_evenly()
        await crew.leaves("n")
        await crew.shares_evenly()
        await crew.moves_nothing()
        await _all_leave(crew)

    in_virtual_time(come_and_go)


async def _crew(line: Line, topics: Mapping[str, int]) -> _Crew:
    line.log = MemoryLog(line.now_us)
    for topic, partitions in topics.items():
        await line.log.create_topic(topic, partitions)
    return _Crew(line, topics)


async def _all_leave(crew: _Crew) -> None:
    for name in list(crew.tasks):
        await crew.leaves(name)
