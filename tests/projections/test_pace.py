"""A pace lets no more records through than it says, and holds nobody back who is slower."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from projections.pace import Pace


@dataclass
class Time:
    now_s: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def pace(time: Time, records_per_s: float | None) -> Pace:
    return Pace(records_per_s, clock=time, sleep=time.sleep)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20), st.floats(1, 1e6))
def test_all_but_the_last_batch_has_had_its_time_when_the_last_begins(batches: list[int], records_per_s: float) -> None:
    time = Time()

    async def take_all() -> None:
        one = pace(time, records_per_s)
        for records in batches:
            await one.take(records)

    asyncio.run(take_all())
    due_s = sum(batches[:-1]) / records_per_s
    assert abs(time.now_s - 100.0 - due_s) <= 1e-6 * max(1.0, due_s)


async def test_who_is_slower_than_the_pace_never_waits() -> None:
    time = Time()
    one = pace(time, 10)
    for _ in range(5):
        await one.take(10)
        time.now_s += 1.5
    assert time.slept == []


async def test_without_a_limit_nothing_waits() -> None:
    time = Time()
    one = pace(time, None)
    for _ in range(5):
        await one.take(1_000_000)
    assert time.slept == []
