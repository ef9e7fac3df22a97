"""The cache's server flushed, killed, stopped, slow, lying or never there: pages say what the database says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from backoffice.cache import CacheUnavailable
from backoffice.cache_report import CacheReport
from backoffice.connect import check_cache_url
from backoffice.guarded_cache import CALL_TIMEOUT_S, GuardedCache
from backoffice.memory_cache import MemoryCache
from backoffice.redis_cache import RedisCache
from backoffice.silence import Silence
from event_store.backoff import Backoff
from tests.servers.garbage import Garbage
from tests.servers.ports import free_port
from tests.servers.proxy import Proxy
from tests.servers.valkey import Valkey, new_valkey
from tests.web.shop import Shop as SmallShop
from tests.web.shop import busy_days, listed
from tests.web.visitors import NO_SIGN_IN

from .shop import Shop, excerpt_oracle, until

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
URLS = [
    "/?range=all",
    "/?range=custom&from=2011-10-29&to=2011-10-30",
    "/products?range=all",
    "/product?id=A&range=all",
    "/api/figures?by=product,hour",
]
PATIENCE_S = 30.0
"""With a server that is well, on a machine that is busy."""
SOON = Backoff(0.05, 0.2)
GARBAGE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    bytes(range(256)),
    b"*1000000000\r\n",
    b"$1000000000\r\nabc",
    b"*1\r\n" * 5000,
    b"$-1\r\n",
    b"+OK\r\n",
    b":1\r\n",
    b":one\r\n",
    b"$3\r\nabc\r\n",
    b"*2\r\n$3\r\nabc\r\n:1\r\n",
    b"-MOVED 1 127.0.0.1:1\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"",
]


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server that the test may end."""
    server = new_valkey(tmp_path)
    yield server
    server.stop()


@pytest.fixture
async def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def small() -> SmallShop:
    shop = SmallShop()
    await shop.open()
    await shop.happened(listed(AUTUMN, "A", "Lantern"), *busy_days(shop, seed=31, first=AUTUMN, days=4, events=200))
    return shop


@contextlib.asynccontextmanager
async def cached_at(
    shop: SmallShop, url: str, registry: CollectorRegistry, timeout_s: float = CALL_TIMEOUT_S
) -> AsyncIterator[httpx.AsyncClient]:
    """A dashboard whose cache is the server at `url`."""
    shop.cache = GuardedCache(RedisCache(url), CacheReport(registry, url), timeout_s=timeout_s, backoff=SOON)
    async with shop.browser(role=None, gate=NO_SIGN_IN) as client:
        yield client
    await shop.cache.close()


async def pages(client: httpx.AsyncClient) -> list[str]:
    answers = [await client.get(url) for url in URLS]
    assert [answer.status_code for answer in answers] == [200] * len(URLS)
    return [answer.text for answer in answers]


async def from_the_database(shop: SmallShop) -> list[str]:
    """The same pages without anything kept."""
    (cache, shop.cache) = (shop.cache, GuardedCache(MemoryCache(ttl_s=0), Silence()))
    async with shop.browser(role=None, gate=NO_SIGN_IN) as client:
        found = await pages(client)
    shop.cache = cache
    return found


async def assert_exact(shop: SmallShop, client: httpx.AsyncClient) -> None:
    assert await pages(client) == await from_the_database(shop)


def outcomes(registry: CollectorRegistry, metric: str = "requests") -> dict[str, int]:
    return {
        sample.labels["outcome"]: int(sample.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"countinghouse_cache_{metric}_total"
    }


async def settled(shop: SmallShop) -> None:
    """Returns once what was written in the background is there."""
    await until(lambda: not shop.cache._writing)


async def usable(registry: CollectorRegistry, expected: bool) -> None:
    await until(lambda: registry.get_sample_value("countinghouse_cache_usable") == expected)


async def test_pages_from_the_server_are_those_from_the_database(
    small: SmallShop, valkey: Valkey, registry: CollectorRegistry
) -> None:
    async with cached_at(small, valkey.url, registry, PATIENCE_S) as client:
        for _ in range(3):
            await assert_exact(small, client)
            asked = outcomes(registry)["miss"]
            await settled(small)
            await assert_exact(small, client)
            assert outcomes(registry)["miss"] == asked
            await small.happened(*busy_days(small, seed=32, first=AUTUMN, days=4, events=20))
        assert outcomes(registry).keys() == {"hit", "miss", "stale"}


async def test_dashboards_share_what_one_of_them_added_up(
    small: SmallShop, valkey: Valkey, registry: CollectorRegistry
) -> None:
    async with cached_at(small, valkey.url, CollectorRegistry()) as client:
        await pages(client)
        await settled(small)
    async with cached_at(small, valkey.url, registry) as client:
        await assert_exact(small, client)
    assert outcomes(registry).keys() == {"hit"}


async def test_row_30_flushed(small: SmallShop, valkey: Valkey, registry: CollectorRegistry) -> None:
    async with cached_at(small, valkey.url, registry) as client:
        await pages(client)
        for _ in range(3):
            valkey.command("FLUSHALL")
            valkey.command("SCRIPT", "FLUSH")
            await small.happened(*busy_days(small, seed=33, first=AUTUMN, days=4, events=20))
            await assert_exact(small, client)
        before = outcomes(registry).get("hit", 0)
        await settled(small)
        await assert_exact(small, client)
        assert outcomes(registry)["hit"] > before
        assert registry.get_sample_value("countinghouse_cache_usable") == 1


async def test_row_30_killed_and_back(small: SmallShop, own_valkey: Valkey, registry: CollectorRegistry) -> None:
    async with cached_at(small, own_valkey.url, registry) as client:
        await pages(client)
        own_valkey.kill()
        for _ in range(3):
            await small.happened(*busy_days(small, seed=34, first=AUTUMN, days=4, events=20))
            await assert_exact(small, client)
        await usable(registry, False)
        own_valkey.start()
        await usable(registry, True)
        await assert_exact(small, client)
        before = outcomes(registry).get("hit", 0)
        await settled(small)
        await assert_exact(small, client)
        assert outcomes(registry)["hit"] > before


async def test_row_30_stopped_and_woken(small: SmallShop, own_valkey: Valkey, registry: CollectorRegistry) -> None:
    """Connections are there and can be made, and nothing is ever answered."""
    async with cached_at(small, own_valkey.url, registry) as client:
        await pages(client)
        await settled(small)
        before = outcomes(registry)
        own_valkey.pause()
        for _ in range(3):
            await small.happened(*busy_days(small, seed=35, first=AUTUMN, days=4, events=20))
            await assert_exact(small, client)
        await usable(registry, False)
        assert outcomes(registry)["failed"] - before.get("failed", 0) <= 3
        own_valkey.wake()
        await usable(registry, True)
        await assert_exact(small, client)


async def test_row_30_five_seconds_slow(small: SmallShop, own_valkey: Valkey, registry: CollectorRegistry) -> None:
    """A few requests wait a tenth of a second; the others don't ask."""
    async with Proxy(own_valkey.port) as proxy, cached_at(small, f"redis://127.0.0.1:{proxy.port}", registry) as client:
        await pages(client)
        await settled(small)
        proxy.latency_s = 5.0
        for _ in range(10):
            await assert_exact(small, client)
        assert outcomes(registry)["failed"] <= 3
        assert outcomes(registry)["bypassed"] > 50
        assert registry.get_sample_value("countinghouse_cache_usable") == 0
        proxy.latency_s = 0.0
        proxy.cut()
        await usable(registry, True)
        await assert_exact(small, client)


@pytest.mark.parametrize("answer", GARBAGE, ids=lambda answer: repr(answer[:12]))
async def test_row_30_garbage(small: SmallShop, registry: CollectorRegistry, answer: bytes) -> None:
    async with Garbage(answer) as server, cached_at(small, f"redis://127.0.0.1:{server.port}", registry) as client:
        small.cache.begin()
        expected = await from_the_database(small)
        for _ in range(3):
            assert await pages(client) == expected
        assert "hit" not in outcomes(registry)
        await usable(registry, False)


async def test_row_30_a_server_that_comes_back_as_another_one(
    small: SmallShop, own_valkey: Valkey, registry: CollectorRegistry
) -> None:
    """At the same address, with a password that nobody told us."""
    async with cached_at(small, own_valkey.url, registry) as client:
        await pages(client)
        own_valkey.kill()
        own_valkey.password = "another"  # noqa: S105
        own_valkey.start()
        for _ in range(4):
            await assert_exact(small, client)
        await usable(registry, False)
        assert "Authentication required" in str((await small.cache.status()).detail)


async def test_row_30_entries_changed_swapped_and_put_back_by_somebody_else(
    small: SmallShop, valkey: Valkey, registry: CollectorRegistry
) -> None:
    """Of the same shop and of the same form: what is wrong about them is only where, or when, they stand."""
    async with cached_at(small, valkey.url, registry) as client:
        await pages(client)
        await settled(small)
        server: Any = Redis.from_url(valkey.url)
        keys = sorted(await server.keys("countinghouse:figures:*"))
        old = {key: await server.get(key) for key in keys}
        assert len(keys) > 3
        for key, other in zip(keys, keys[1:] + keys[:1], strict=True):
            await server.set(key, old[other])
        await assert_exact(small, client)
        assert outcomes(registry)["invalid"] >= 3
        await usable(registry, True)
        await small.happened(*busy_days(small, seed=36, first=AUTUMN, days=4, events=20))
        await assert_exact(small, client)
        for key in keys:
            await server.set(key, old[key])
        await assert_exact(small, client)
        assert outcomes(registry)["stale"] >= len(keys)
        await usable(registry, True)
        for key in keys:
            await server.set(key, old[key][:-1] + b"?")
        await assert_exact(small, client)
        await server.aclose()


async def test_an_encrypted_server_is_spoken_to_where_its_certificate_is_right(tmp_path: Path, valkey: Valkey) -> None:
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    for name, ending, said in [
        ("127.0.0.1", f"?ssl_ca_certs={trusted}", None),
        ("127.0.0.1", "", "CERTIFICATE_VERIFY_FAILED"),
        ("cache.example", f"?ssl_ca_certs={trusted}", "CERTIFICATE_VERIFY_FAILED"),
    ]:
        certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(certificate)
        async with Proxy(valkey.port, certificate=certificate) as proxy:
            url = f"rediss://127.0.0.1:{proxy.port}{ending}"
            check_cache_url(url, plain_text=False)
            cache = RedisCache(url)
            if said is None:
                await cache.check()
            else:
                with pytest.raises(CacheUnavailable, match=said):
                    await cache.check()
            await cache.close()


@pytest.fixture
def over_valkey(tmp_path: Path, own_valkey: Valkey) -> Iterator[Shop]:
    one = Shop(tmp_path / "over-valkey", {"COUNTINGHOUSE_CACHE_URL": own_valkey.url})
    yield one
    one.close()
    assert one.complaints() == []


async def shown(shop: Shop) -> list[tuple[str, str, int]]:
    """(product, day, gross) as the dashboard's API has them."""
    query = {"by": "product,day", "tz": "Europe/London"}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{shop.dashboard_port}/api/figures", params=query)
    return [(row["product_id"], row["day"], row["gross_minor"]) for row in answer.json()["rows"]]


async def counted_and_shown(shop: Shop) -> None:
    await shop.counted_exactly(excerpt_oracle())
    expected = [(row["product_id"], row["day"], int(row["gross_minor"])) for row in _rows(shop)]
    assert await shown(shop) == expected
    assert await shown(shop) == expected


def _rows(shop: Shop) -> list[dict[str, str]]:
    return shop.rows("--by", "product,day", "--tz", "Europe/London")


@pytest.mark.processes
@pytest.mark.timeout(300)
async def test_row_17_killed_after_commit_and_before_the_cache_hears_of_it(over_valkey: Shop) -> None:
    """The figures that were kept before are never shown for those that are committed now."""
    shop = over_valkey
    for role in ("api", "relay", "dashboard"):
        shop.start(role)
    await shop.started[-1].is_up()
    consumer = shop.start("consumer", COUNTINGHOUSE_CRASH_AT="consumer.after_memory:3")
    sending = asyncio.create_task(shop.send())
    while consumer.is_alive:
        await shown(shop)
        await asyncio.sleep(0.02)
    await consumer.died_at_its_crash_point()
    expected = [(row["product_id"], row["day"], int(row["gross_minor"])) for row in _rows(shop)]
    assert await shown(shop) == expected
    assert (await sending).delivery.failed == 0
    shop.start("consumer")
    await counted_and_shown(shop)


@pytest.mark.processes
@pytest.mark.timeout(300)
async def test_a_server_that_is_killed_paused_and_back_neither_stops_nor_changes_the_counting(
    over_valkey: Shop, own_valkey: Valkey
) -> None:
    shop = over_valkey
    (_, _, consumer) = shop.start_line()
    dashboard = shop.start("dashboard")
    await dashboard.is_up()
    sending = asyncio.create_task(shop.send())
    steps = [own_valkey.pause, own_valkey.wake, own_valkey.kill, own_valkey.start]
    while not sending.done():
        steps[0]()
        steps.append(steps.pop(0))
        await shown(shop)
        await asyncio.sleep(0.3)
    assert (await sending).delivery.failed == 0
    own_valkey.wake()
    await counted_and_shown(shop)
    for process in (consumer, dashboard):
        assert process.is_alive
        assert process.said.count("cache.broke") <= process.said.count("cache.mended") + 1
        assert len(process.said.splitlines()) < 40
    assert dashboard.stop() == 0
    assert consumer.stop() == 0


@pytest.mark.processes
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["unreachable", "wrong password"])
async def test_processes_start_without_the_server_and_say_so_once(tmp_path: Path, kind: str, shop: Shop) -> None:
    valkey = new_valkey(tmp_path, password="theirs")  # noqa: S106
    port = valkey.port if kind == "wrong password" else free_port()
    url = f"redis://:canary@127.0.0.1:{port}"
    started = [shop.start(role, COUNTINGHOUSE_CACHE_URL=url) for role in ("api", "relay", "consumer", "dashboard")]
    await asyncio.gather(*(one.is_up() for one in started))
    (*_, consumer, dashboard) = started
    await shop.send()
    await counted_and_shown(shop)
    async with httpx.AsyncClient(timeout=60) as client:
        ready = await client.get(f"http://127.0.0.1:{dashboard.port}/readyz")
        status = (await client.get(f"http://127.0.0.1:{dashboard.port}/api/status")).json()["cache"]
    assert (ready.status_code, ready.json()["ok"], ready.json()["degraded"]) == (200, True, True)
    assert status["usable"] is False
    said = {"unreachable": "ConnectionError", "wrong password": "AuthenticationError"}[kind]
    assert said in status["detail"]
    for process in (consumer, dashboard):
        assert process.said.count("cache.broke") == 1
        assert said in process.said
        assert "canary" not in process.said
    printed = shop.ok("status", COUNTINGHOUSE_CACHE_URL=url)
    assert f"The cache at redis://:***@127.0.0.1:{port} can't be used" in printed
    assert "canary" not in printed
    valkey.stop()


@pytest.mark.processes
@pytest.mark.parametrize("url", ["redis://", "redis://:canary@cache.example", "redis://:canary@127.0.0.1:x"])
def test_an_address_that_can_not_be_is_one_line_and_exit_code_2(shop: Shop, url: str) -> None:
    for command in ("dashboard", "consumer"):
        done = shop.run(command, COUNTINGHOUSE_CACHE_URL=url)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("COUNTINGHOUSE_CACHE_URL: ")
        assert "canary" not in line


@pytest.mark.processes
@pytest.mark.timeout(300)
async def test_a_dashboard_with_open_streams_and_a_dead_server_stops_at_once(
    over_valkey: Shop, own_valkey: Valkey
) -> None:
    dashboard = over_valkey.start("dashboard")
    await dashboard.is_up()
    async with httpx.AsyncClient(timeout=60) as client, contextlib.AsyncExitStack() as streams:
        for _ in range(5):
            url = f"http://127.0.0.1:{dashboard.port}/live"
            response = await streams.enter_async_context(client.stream("GET", url))
            assert response.status_code == 200
        own_valkey.pause()
        assert dashboard.stop() == 0
