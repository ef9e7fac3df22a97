"""What every cache promises: a newer answer stays, none for long, and hints come across."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from backoffice.cache import TTL_S, Cache
from backoffice.memory_cache import MemoryCache
from backoffice.redis_cache import RedisCache
from tests.servers.valkey import Valkey

from .conftest import CACHE_TTL_S, Elapse, Open

HOSTILE = ["a b", "\r\nFLUSHALL\r\n", "*", "ключ:{x}", "\x00", "k" * 5000]


async def test_what_was_kept_is_there_for_every_process(cache: Cache, open_cache: Open[Cache]) -> None:
    assert await cache.get("key") is None
    assert await cache.put("key", 1, b"value")
    assert await (await open_cache()).get("key") == b"value"
    assert await cache.get("another") is None


@pytest.mark.parametrize("value", [b"", b"\x00\r\n\xff", bytes(1_000_000)])
async def test_a_value_is_any_bytes(cache: Cache, value: bytes) -> None:
    await cache.put("key", 1, value)
    assert await cache.get("key") == value


@pytest.mark.parametrize("key", HOSTILE)
async def test_a_key_is_any_text_and_means_nothing_else(cache: Cache, key: str) -> None:
    await cache.put("key", 1, b"other")
    await cache.put(key, 1, b"value")
    assert await cache.get(key) == b"value"
    await cache.drop(key)
    assert await cache.get(key) is None
    assert await cache.get("key") == b"other"


async def test_a_lower_rank_never_replaces_a_higher_one(cache: Cache, open_cache: Open[Cache]) -> None:
    late = await open_cache()
    assert await cache.put("key", 10, b"newer")
    assert not await late.put("key", 9, b"older")
    assert await late.get("key") == b"newer"
    assert await late.put("key", 10, b"the same again")
    assert await cache.get("key") == b"the same again"
    assert await late.put("key", 11, b"newest")
    assert await cache.get("key") == b"newest"


@pytest.mark.parametrize("low", [0, 9, 2**53, 2**64 - 1, 10**18, (1 << 127) - 2])
async def test_ranks_are_compared_as_numbers_of_any_length(cache: Cache, low: int) -> None:
    assert await cache.put("key", low, b"low")
    assert await cache.put("key", low + 1, b"high")
    assert not await cache.put("key", low, b"low")
    assert await cache.get("key") == b"high"


async def test_of_many_who_write_at_once_the_highest_rank_stays(cache: Cache, open_cache: Open[Cache]) -> None:
    doors = [cache, await open_cache(), await open_cache()]
    ranks = random.Random(7).sample(range(1000), 60)
    await asyncio.gather(*(doors[rank % 3].put("key", rank, str(rank).encode()) for rank in ranks))
    assert await cache.get("key") == str(max(ranks)).encode()


async def test_nothing_is_kept_for_long(cache: Cache, elapse: Elapse) -> None:
    await cache.put("key", 10, b"value")
    await elapse(CACHE_TTL_S + 0.05)
    assert await cache.get("key") is None
    assert await cache.put("key", 9, b"older")
    assert await cache.get("key") == b"older"


async def test_what_is_dropped_is_in_nobodys_way(cache: Cache) -> None:
    await cache.put("key", 10, b"value")
    await cache.drop("key")
    await cache.drop("key")
    assert await cache.get("key") is None
    assert await cache.put("key", 1, b"lower")


async def test_a_hint_wakes_who_waits_in_another_process(cache: Cache, open_cache: Open[Cache]) -> None:
    listening = await open_cache()
    await listening.wait_for_hint(0)
    await listening.wait_for_hint(0.01)
    waiting = asyncio.create_task(_hinted(listening))
    while not waiting.done():
        await cache.hint()
        await asyncio.sleep(0.01)
    assert await waiting


async def _hinted(cache: Cache) -> bool:
    return any([await cache.wait_for_hint(10) for _ in range(2)])


async def test_a_wait_without_a_hint_ends(cache: Cache) -> None:
    await cache.wait_for_hint(0)
    await cache.wait_for_hint(0.01)
    assert not await cache.wait_for_hint(0.01)


async def test_a_cache_that_works_passes_its_check_again_and_again(cache: Cache) -> None:
    await cache.check()
    await cache.check()


async def test_a_cache_can_be_closed_twice_and_unused(open_cache: Open[Cache]) -> None:
    cache = await open_cache()
    await cache.close()
    await cache.close()


def test_answers_are_kept_for_30_seconds_at_the_most() -> None:
    assert TTL_S <= 30


async def test_a_server_is_told_how_long_to_keep_an_answer(valkey: Valkey) -> None:
    cache = RedisCache(valkey.url)
    await cache.put("key", 1, b"value")
    (left_ms,) = [int(valkey.command("PTTL", "key").removeprefix(b":"))]
    assert 0 < left_ms <= 30_000
    await cache.close()


@pytest.mark.parametrize("foreign", [("SET", "key", "garbage"), ("SET", "key", "~" * 60), ("RPUSH", "key", "a", "b")])
async def test_what_somebody_else_put_in_a_servers_place_is_replaced(valkey: Valkey, foreign: tuple[str, ...]) -> None:
    cache = RedisCache(valkey.url)
    valkey.command(*foreign)
    assert await cache.put("key", 1, b"value")
    assert await cache.get("key") == b"value"
    await cache.close()


async def test_a_call_that_is_broken_off_leaves_the_next_ones_right(valkey: Valkey) -> None:
    cache = RedisCache(valkey.url)
    for number in range(20):
        await cache.put(str(number), 1, str(number).encode())
    for after_s in [0.0, 0.00005, 0.0002, 0.0005] * 20:
        calls = [asyncio.create_task(cache.get(str(number))) for number in range(20)]
        await asyncio.sleep(after_s)
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls)
        said = {number: call.result() for number, call in enumerate(calls) if not call.cancelled()}
        assert said == {number: str(number).encode() for number in said}
        assert len(said) >= 10
    await cache.close()


async def test_memory_holds_what_was_used_last_within_its_bytes() -> None:
    cache = MemoryCache(most_bytes=100, clock=time.monotonic)
    for number in range(5):
        await cache.put(str(number), 1, bytes(20))
    await cache.get("0")
    await cache.put("5", 1, bytes(20))
    assert cache.size_bytes == 100
    assert [key for key in "012345" if await cache.get(key) is not None] == ["0", "2", "3", "4", "5"]
    await cache.put("5", 1, bytes(70))
    assert cache.size_bytes <= 100
    assert await cache.get("5") == bytes(70)
