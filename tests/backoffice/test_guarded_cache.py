"""A cache that fails, hangs or comes and goes: nobody waits for it for long, and few lines are written about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from backoffice.cache import CacheUnavailable
from backoffice.cache_report import CacheReport
from backoffice.guarded_cache import WRITES_UNDER_WAY, GuardedCache
from backoffice.memory_cache import MemoryCache
from tests.simulation.virtual_time import VirtualTimeLoop, run_virtual

T = TypeVar("T")


class Moody(MemoryCache):
    """Fails or hangs where a test says so."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__(clock=loop.time)
        self.fails = False
        self.check_fails = False
        self.hangs_s = 0.0
        self.calls: Counter[str] = Counter()
        self.checked_at_s: list[float] = []
        self._loop = loop

    async def _act(self, name: str) -> None:
        self.calls[name] += 1
        await asyncio.sleep(self.hangs_s)
        if self.fails:
            raise CacheUnavailable("ConnectionError: refused")

    async def get(self, key: str) -> bytes | None:
        await self._act("get")
        return await super().get(key)

    async def put(self, key: str, rank: int, value: bytes) -> bool:
        await self._act("put")
        return await super().put(key, rank, value)

    async def hint(self) -> None:
        await self._act("hint")

    async def wait_for_hint(self, timeout_s: float) -> bool:
        await self._act("wait")
        return await super().wait_for_hint(timeout_s)

    async def check(self) -> None:
        self.checked_at_s.append(self._loop.time())
        await self._act("check")
        if self.check_fails:
            raise CacheUnavailable("OOM command not allowed")


@dataclass
class Observed:
    tally: Counter[str] = field(default_factory=Counter)
    broke_at: list[str] = field(default_factory=list)

    def asked(self, outcome: str) -> None:
        self.tally[outcome] += 1

    def wrote(self, outcome: str) -> None:
        self.tally[f"wrote {outcome}"] += 1

    def broke(self, why: str) -> None:
        self.broke_at.append(why)

    def mended(self) -> None:
        self.tally["mended"] += 1


def in_virtual_time(
    test: Callable[[VirtualTimeLoop, Moody, GuardedCache, Observed], Coroutine[Any, Any, T]],
) -> T:
    async def main(loop: VirtualTimeLoop) -> T:
        (cache, observed) = (Moody(loop), Observed())
        guarded = GuardedCache(cache, observed)
        result = await test(loop, cache, guarded, observed)
        await guarded.close()
        assert not loop.unhandled, loop.unhandled
        return result

    return run_virtual(main)


def test_three_failures_in_a_row_break_it_and_one_success_in_between_does_not() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        for fails in (False, True, True, False, True, True, True, True):
            cache.fails = fails
            await guarded.get("key", bytes)
        assert len(observed.broke_at) == 1
        assert observed.tally == {"miss": 2, "failed": 5, "bypassed": 1}

    in_virtual_time(main)


def test_a_cache_that_has_never_worked_is_broken_at_its_first_failure() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        cache.fails = True
        guarded.begin()
        await asyncio.sleep(0.01)
        assert observed.broke_at == ["ConnectionError: refused"]
        assert await guarded.get("key", bytes) is None
        assert cache.calls == {"check": 1}

    in_virtual_time(main)


def test_nobody_waits_for_a_slow_cache_longer_than_a_tenth_of_a_second_and_hardly_anybody_at_all() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> list[float]:
        await guarded.get("key", bytes)
        cache.hangs_s = 5.0
        waited_s = []
        for _ in range(200):
            at_s = loop.time()
            await guarded.get("key", bytes)
            waited_s.append(loop.time() - at_s)
            guarded.put("key", 1, lambda: b"value")
            guarded.hint()
            await asyncio.sleep(0.1)
        assert observed.broke_at == ["it did not answer within 0.1 s"]
        return waited_s

    waited_s = in_virtual_time(main)
    assert max(waited_s) < 0.11
    assert sum(one > 0.001 for one in waited_s) <= 3


def test_a_broken_cache_is_tried_ever_more_seldom_and_mends_by_itself() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> list[float]:
        cache.fails = True
        guarded.begin()
        await asyncio.sleep(300)
        tried = list(cache.checked_at_s)
        cache.fails = False
        await asyncio.sleep(31)
        assert observed.tally["mended"] == 1
        guarded.put("key", 1, lambda: b"value")
        await asyncio.sleep(0.01)
        assert await guarded.get("key", bytes) == b"value"
        assert cache.calls == {"check": len(tried) + 1, "put": 1, "get": 1}
        return tried

    tried = in_virtual_time(main)
    pauses = [after - before for before, after in pairwise(tried)]
    assert 0.2 < pauses[0] < 0.6
    assert all(14 < pause < 31 for pause in pauses[8:])


def test_a_cache_that_takes_nothing_is_broken_however_well_it_reads() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        cache.check_fails = True
        guarded.begin()
        await asyncio.sleep(20)
        assert await guarded.get("key", bytes) is None
        assert (await guarded.status()).detail == "OOM command not allowed"
        assert observed.broke_at == ["OOM command not allowed"]

    in_virtual_time(main)


def test_a_cache_that_comes_and_goes_is_spoken_of_seldom() -> None:
    """It passes every check and fails every request."""

    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> int:
        await guarded.get("key", bytes)
        for _ in range(36_000):
            cache.fails = True
            await guarded.get("key", bytes)
            cache.fails = False
            await asyncio.sleep(0.1)
        return len(observed.broke_at)

    assert in_virtual_time(main) <= 3600 / 15 + 10


def test_writes_are_not_waited_for_and_those_too_many_are_dropped() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        cache.hangs_s = 0.05
        for number in range(WRITES_UNDER_WAY + 5):
            guarded.put(str(number), 1, lambda: b"value")
        assert loop.time() == 0
        await asyncio.sleep(0.06)
        assert observed.tally == {"wrote kept": WRITES_UNDER_WAY, "wrote dropped": 5}

    in_virtual_time(main)


def test_what_is_counted_in_a_moment_is_one_hint() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        for _ in range(1000):
            guarded.hint()
        await asyncio.sleep(0.01)
        assert cache.calls["hint"] == 1
        for _ in range(100):
            guarded.hint()
            await asyncio.sleep(0.01)
        assert 15 < cache.calls["hint"] <= 22
        assert observed.broke_at == []

    in_virtual_time(main)


def test_hints_that_fail_break_it_and_keep_nobody_waiting() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        guarded.hint()
        await asyncio.sleep(0.1)
        cache.fails = True
        for _ in range(50):
            guarded.hint()
            await asyncio.sleep(0.01)
        assert len(observed.broke_at) == 1
        before_s = loop.time()
        assert not await guarded.wait_for_hint(2)
        assert loop.time() - before_s == 2

    in_virtual_time(main)


def test_listening_that_fails_counts_as_a_failure_and_is_no_busy_loop() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        await guarded.get("key", bytes)
        cache.fails = True
        for _ in range(5):
            assert not await guarded.wait_for_hint(1)
        assert loop.time() == 5
        assert len(observed.broke_at) == 1

    in_virtual_time(main)


def test_it_closes_whatever_is_under_way() -> None:
    async def main(loop: VirtualTimeLoop, cache: Moody, guarded: GuardedCache, observed: Observed) -> None:
        cache.hangs_s = 5.0
        guarded.begin()
        guarded.put("key", 1, lambda: b"value")
        guarded.hint()
        await asyncio.sleep(0.01)

    in_virtual_time(main)


def test_a_line_is_written_when_it_breaks_and_one_when_it_works_again() -> None:
    async def main(loop: VirtualTimeLoop) -> tuple[list[Any], CollectorRegistry]:
        (cache, registry) = (Moody(loop), CollectorRegistry())
        guarded = GuardedCache(cache, CacheReport(registry, "redis://:***@here"))
        with capture_logs() as lines:
            await guarded.get("key", bytes)
            cache.fails = True
            for _ in range(100):
                await guarded.get("key", bytes)
            await asyncio.sleep(20)
            assert registry.get_sample_value("countinghouse_cache_usable") == 0
            cache.fails = False
            await asyncio.sleep(31)
        await guarded.close()
        return [(line["log_level"], line["action"], line["cache"]) for line in lines], registry

    (lines, registry) = run_virtual(main)
    address = "redis://:***@here"
    assert lines == [("warning", "cache.broke", address), ("info", "cache.mended", address)]
    requests = "countinghouse_cache_requests_total"
    counted = {outcome: registry.get_sample_value(requests, {"outcome": outcome}) for outcome in ("failed", "bypassed")}
    assert counted == {"failed": 3, "bypassed": 97}
    assert registry.get_sample_value("countinghouse_cache_usable") == 1
