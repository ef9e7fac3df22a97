"""What the leases of every database promise (event_store/lease.py)."""

from __future__ import annotations

import asyncio

from event_store.lease import Holding, Lease, Leases, owners_of

from .conftest import ClosableLeases, Elapse, Open

WITH_OLDER_SERVERS = True

NAMES = [f"partition/{number}" for number in range(4)]
LONG_S = 30.0
SHORT_S = 0.05


def by_name(held: list[Lease]) -> dict[str, int]:
    return {lease.name: lease.epoch for lease in held}


async def test_a_free_lease_is_taken_by_who_asks_first(leases: Leases) -> None:
    held = await leases.take(NAMES, "a", LONG_S)
    assert sorted(lease.name for lease in held) == NAMES
    assert {lease.owner for lease in held} == {"a"}
    assert await leases.take(NAMES, "b", LONG_S) == []


async def test_taking_no_lease_returns_none(leases: Leases) -> None:
    await leases.take(NAMES, "a", LONG_S)
    assert await leases.take([], "a", LONG_S) == []


async def test_an_owner_is_told_only_of_leases_it_asked_for(leases: Leases) -> None:
    await leases.take(NAMES, "a", LONG_S)
    assert list(by_name(await leases.take(NAMES[:1], "a", LONG_S))) == NAMES[:1]


async def test_renewing_keeps_the_epoch(leases: Leases, elapse: Elapse) -> None:
    first = by_name(await leases.take(NAMES, "a", SHORT_S))
    assert by_name(await leases.take(NAMES, "a", SHORT_S)) == first
    await elapse(2 * SHORT_S)
    assert by_name(await leases.take(NAMES, "a", LONG_S)) == first, "expired, but nobody else was its owner"


async def test_a_renewed_lease_lives_on_from_its_renewal(leases: Leases, elapse: Elapse) -> None:
    await leases.take(NAMES, "a", SHORT_S)
    await leases.take(NAMES, "a", LONG_S)
    await elapse(2 * SHORT_S)
    assert await leases.take(NAMES, "b", LONG_S) == []


async def test_an_expired_lease_goes_to_another_owner_with_the_next_epoch(leases: Leases, elapse: Elapse) -> None:
    first = by_name(await leases.take(NAMES, "a", SHORT_S))
    await elapse(2 * SHORT_S)
    second = by_name(await leases.take(NAMES, "b", LONG_S))
    assert second == {name: epoch + 1 for name, epoch in first.items()}
    assert await leases.take(NAMES, "a", LONG_S) == []


async def test_an_owner_takes_no_more_than_it_wants(leases: Leases) -> None:
    a = by_name(await leases.take(NAMES, "a", LONG_S, most=3))
    b = by_name(await leases.take(NAMES, "b", LONG_S, most=3))
    assert (len(a), len(b)) == (3, 1)
    assert not a.keys() & b.keys()


async def test_what_an_owner_has_stays_its_own_before_anything_new(leases: Leases) -> None:
    first = by_name(await leases.take(NAMES[2:], "a", LONG_S))
    assert by_name(await leases.take(NAMES, "a", LONG_S, most=2)) == first
    assert by_name(await leases.take(NAMES, "a", LONG_S, most=3)).items() > first.items()


async def test_an_owner_that_wants_fewer_gives_the_rest_to_others(leases: Leases, elapse: Elapse) -> None:
    await leases.take(NAMES, "a", SHORT_S)
    kept = by_name(await leases.take(NAMES, "a", LONG_S, most=1))
    assert len(kept) == 1
    await elapse(2 * SHORT_S)
    assert by_name(await leases.take(NAMES, "b", LONG_S)).keys() == set(NAMES) - kept.keys()


async def test_an_owner_that_wants_none_gets_none(leases: Leases) -> None:
    assert await leases.take(NAMES, "a", LONG_S, most=0) == []
    assert len(await leases.take(NAMES, "b", LONG_S)) == len(NAMES)


async def test_a_released_lease_is_free_at_once(leases: Leases) -> None:
    first = by_name(await leases.take(NAMES, "a", LONG_S))
    await leases.release("a")
    second = by_name(await leases.take(NAMES, "b", LONG_S))
    assert second == {name: epoch + 1 for name, epoch in first.items()}


async def test_releasing_leaves_the_leases_of_others(leases: Leases) -> None:
    await leases.take(NAMES[:2], "a", LONG_S)
    await leases.take(NAMES[2:], "b", LONG_S)
    await leases.release("b")
    assert by_name(await leases.take(NAMES, "c", LONG_S)).keys() == set(NAMES[2:])


async def test_a_process_started_again_under_its_old_name_gets_its_leases_with_a_new_epoch(leases: Leases) -> None:
    first = by_name(await leases.take(NAMES, "a", LONG_S))
    await leases.take_over("a")
    second = by_name(await leases.take(NAMES, "a", LONG_S))
    assert second.keys() == first.keys()
    assert all(second[name] > epoch for name, epoch in first.items())


async def test_taking_over_under_one_name_leaves_the_others_their_leases(leases: Leases) -> None:
    first = by_name(await leases.take(NAMES[:2], "a", LONG_S))
    await leases.take_over("b")
    assert by_name(await leases.take(NAMES[:2], "a", LONG_S)) == first


async def test_the_owners_are_those_of_unexpired_leases_with_the_prefix(leases: Leases, elapse: Elapse) -> None:
    assert owners_of(await leases.holdings("partition/")) == {}
    await leases.take(["partition/0"], "a", LONG_S)
    await leases.take(["partition/1"], "b", SHORT_S)
    await leases.take(["lane/0"], "c", LONG_S)
    assert owners_of(await leases.holdings("partition/")) == {"partition/0": "a", "partition/1": "b"}
    await elapse(2 * SHORT_S)
    assert owners_of(await leases.holdings("partition/")) == {"partition/0": "a"}
    await leases.release("a")
    assert owners_of(await leases.holdings("partition/")) == {}


async def test_holdings_tell_who_has_each_lease_and_how_often_it_was_given(leases: Leases, elapse: Elapse) -> None:
    assert await leases.holdings("partition/") == []
    await leases.take(["partition/0", "lane/0"], "a", LONG_S)
    await leases.take(["partition/1"], "a", SHORT_S)
    await elapse(2 * SHORT_S)
    assert await leases.holdings("partition/") == [Holding("partition/0", "a", 1), Holding("partition/1", None, 1)]
    await leases.take(["partition/1"], "b", LONG_S)
    await leases.take(["partition/1"], "b", LONG_S)
    assert await leases.holdings("partition/1") == [Holding("partition/1", "b", 2)]
    await leases.release("b")
    await leases.take(["partition/1"], "b", LONG_S)
    assert await leases.holdings("partition/1") == [Holding("partition/1", "b", 3)]
    assert [one.name for one in await leases.holdings("")] == ["lane/0", "partition/0", "partition/1"]


async def test_a_process_started_again_counts_as_having_been_given_its_leases_again(leases: Leases) -> None:
    await leases.take(NAMES[:1], "a", LONG_S)
    await leases.take_over("a")
    await leases.take(NAMES[:1], "a", LONG_S)
    assert await leases.holdings(NAMES[0]) == [Holding(NAMES[0], "a", 2)]


async def test_a_lease_asked_for_by_many_at_once_has_one_owner(
    leases: Leases, open_leases: Open[ClosableLeases]
) -> None:
    second = await open_leases()
    doors = [leases, second] * 4
    taken = await asyncio.gather(*(door.take(NAMES, f"owner {n}", LONG_S) for n, door in enumerate(doors)))
    assert sorted(lease.name for held in taken for lease in held) == NAMES
