"""What was measured, and how it is measured beside a bare loop: a ratio is to the mean of the two around it."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Measured:
    records: int
    seconds: float
    processor_s: float
    """Of our processes or the bare loop's; the servers' is not among it."""

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    @property
    def processor_us(self) -> float:
        """Of one record."""
        return self.processor_s / self.records * 1e6


Bare = Callable[[], Awaitable[Measured]]
Key = TypeVar("Key")
Ours = TypeVar("Ours", bound=Measured)


async def beside(
    bare: Bare, ours: Iterable[tuple[Key, Callable[[], Awaitable[Ours]]]]
) -> AsyncIterator[tuple[Key, Ours, float, float]]:
    """Each of ours with the bare loop's rate and microseconds of a record in the same minutes."""
    before = await bare()
    for key, measure in ours:
        one = await measure()
        after = await bare()
        rate = statistics.mean((before.rate, after.rate))
        yield key, one, rate, statistics.mean((before.processor_us, after.processor_us))
        before = after


async def print_ratios(bare: Bare, ours: Mapping[str, Callable[[], Awaitable[Measured]]], rounds: int, of: str) -> None:
    """Each of ours `rounds` times; `of` is what one record is called."""
    ratios: dict[str, list[float]] = {name: [] for name in ours}
    width = max(map(len, ours))
    for once in (bare, *ours.values()):
        await once()  # A broker that was just started compiles what it does, and takes several times as long meanwhile.
    async for name, one, bare_rate, bare_us in beside(bare, list(ours.items()) * rounds):
        ratios[name].append(one.rate / bare_rate)
        print(
            f"{name:<{width}} {one.rate:9,.0f} {of}s/s   bare {bare_rate:9,.0f}/s   ratio {ratios[name][-1]:.2f}   "
            f"processor {one.processor_us:.1f} us per {of}, bare {bare_us:.1f}",
            flush=True,
        )
    for name, found in ratios.items():
        median = statistics.median(found)
        print(f"{name:<{width}} {min(found):.2f}-{max(found):.2f} x the bare loop, median {median:.2f}")
