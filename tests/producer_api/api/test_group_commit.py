"""Group commit: what comes together goes together, and each is answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from event_store.errors import StorageUnavailable
from producer_api.group_commit import MAX_GROUP, MAX_WAITING, GroupCommit


class Ledger:
    """Takes numbers in groups. Waits before each group until it is let go, and refuses odd numbers."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def commit(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append(list(numbers))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [ValueError(f"{number} is odd") if number % 2 else number * 10 for number in numbers]


async def test_what_waits_while_a_group_commits_is_the_next_group() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit)
    first = [asyncio.create_task(group.join(number)) for number in (0, 2)]
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(group.join(number)) for number in (4, 6, 8)]
    await asyncio.sleep(0.01)
    assert ledger.groups == [[0, 2]]
    ledger.gate.set()
    assert await asyncio.gather(*first, *rest) == [0, 20, 40, 60, 80]
    assert ledger.groups == [[0, 2], [4, 6, 8]]


async def test_one_that_fails_is_told_alone() -> None:
    ledger = Ledger()
    ledger.gate.set()
    group = GroupCommit(ledger.commit)
    answers = await asyncio.gather(*(group.join(number) for number in (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, int, ValueError]


async def test_a_group_is_bounded() -> None:
    ledger = Ledger()
    ledger.gate.set()
    group = GroupCommit(ledger.commit)
    await asyncio.gather(*(group.join(2) for _ in range(MAX_GROUP * 2 + 1)))
    assert [len(one) for one in ledger.groups] == [MAX_GROUP, MAX_GROUP, 1]


async def test_the_queue_is_bounded() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit)
    tasks = [asyncio.create_task(group.join(2)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await group.join(2)
    ledger.gate.set()
    assert set(await asyncio.gather(*tasks)) == {20}


async def test_what_a_commit_raises_is_raised_to_its_group_and_the_next_one_is_tried() -> None:
    ledger = Ledger()
    ledger.gate.set()
    ledger.error = RuntimeError("a fault of ours")
    group = GroupCommit(ledger.commit)
    answers = await asyncio.gather(*(group.join(number) for number in (2, 4)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {RuntimeError}
    ledger.error = None
    assert await group.join(2) == 20


async def test_a_storage_that_is_away_is_told_to_everyone_who_waits() -> None:
    ledger = Ledger()
    ledger.error = StorageUnavailable("locked")
    group = GroupCommit(ledger.commit)
    first = asyncio.create_task(group.join(2))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(group.join(4))
    await asyncio.sleep(0)
    ledger.gate.set()
    answers = await asyncio.gather(first, waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageUnavailable] * 2
    assert ledger.groups == [[2]]


async def test_one_that_left_before_its_group_began_takes_no_part() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit)
    first = asyncio.create_task(group.join(2))
    await asyncio.sleep(0.01)
    leaves = asyncio.create_task(group.join(4))
    stays = asyncio.create_task(group.join(6))
    await asyncio.sleep(0.01)
    leaves.cancel()
    await asyncio.sleep(0)
    ledger.gate.set()
    assert (await first, await stays) == (20, 60)
    assert ledger.groups[1:] == [[6]]


async def test_closing_waits_for_what_is_under_way() -> None:
    ledger = Ledger()
    group = GroupCommit(ledger.commit)
    task = asyncio.create_task(group.join(2))
    await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_later(0.05, ledger.gate.set)
    await group.close()
    assert await task == 20
