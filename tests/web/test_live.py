"""Open pages hear of what was counted, over streams of a real server that end when it is to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from backoffice import web_server
from backoffice.guarded_cache import GuardedCache
from backoffice.live import Live
from backoffice.redis_cache import RedisCache
from backoffice.silence import Silence
from backoffice.web_server import serve_http
from event_store.errors import StorageUnavailable
from projections.memory_read_model import MemoryReadModel
from projections.read_model import FiguresVersion
from tests.servers.ports import free_port
from tests.servers.valkey import Valkey
from tests.web.shop import Shop, viewed
from tests.web.visitors import NO_SIGN_IN

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
WAIT_S = 60.0


@dataclass
class Event:
    name: str
    tag: str
    data: Any


@dataclass
class Listening:
    """A client of one stream."""

    response: httpx.Response
    comments: int = 0
    _lines: AsyncIterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.response.aiter_lines()

    async def event(self) -> Event | None:
        """The next one; None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WAIT_S):
            async for line in self._lines:
                (name, _, value) = line.partition(": ")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    fields[name] = value
                elif "data" in fields:
                    return Event(fields["event"], fields["id"], msgspec.json.decode(fields["data"]))
        return None


@dataclass
class Served:
    live: Live
    url: str
    stop: asyncio.Event
    serving: asyncio.Task[None]

    @asynccontextmanager
    async def listening(self, **headers: str) -> AsyncIterator[Listening]:
        async with (
            httpx.AsyncClient(timeout=WAIT_S) as client,
            client.stream("GET", f"{self.url}/live", headers=headers) as response,
        ):
            assert response.status_code == 200
            yield Listening(response)


@asynccontextmanager
async def served(shop: Shop, **options: Any) -> AsyncIterator[Served]:
    stop = asyncio.Event()
    live = Live(shop.read_model, shop.cache, stop, **{"events_apart_s": 0.01, **options})
    port = free_port()
    serving = asyncio.create_task(serve_http(shop.dashboard(live, NO_SIGN_IN), "127.0.0.1", port, stop))
    try:
        yield Served(live, f"http://127.0.0.1:{port}", stop, serving)
    finally:
        stop.set()
        await serving
        await live.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_stream_begins_with_the_version_there_is_and_says_each_that_follows(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with served(shop) as server, server.listening() as listening:
        assert listening.response.headers["content-type"].startswith("text/event-stream")
        assert listening.response.headers["cache-control"] == "no-store"
        first = await listening.event()
        await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "A"))
        second = await listening.event()
    assert first is not None
    assert second is not None
    assert (first.name, first.data) == ("figures", {"generation": 1, "offset": 1})
    assert second.data["offset"] in (2, 3)
    assert first.tag != second.tag


async def test_who_comes_back_hears_only_of_what_is_new_to_them(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with served(shop) as server:
        async with server.listening() as listening:
            first = await listening.event()
        assert first is not None
        async with server.listening(**{"Last-Event-ID": first.tag}) as listening:
            await until(lambda: server.live._version is not None)
            await shop.happened(viewed(AUTUMN, "A"))
            second = await listening.event()
    assert second is not None
    assert second.data["offset"] == 2


async def test_every_open_page_hears_of_it(shop: Shop) -> None:
    async with served(shop) as server, server.listening() as one, server.listening() as two:
        assert await one.event() == await two.event()
        await shop.happened(viewed(AUTUMN, "A"))
        assert await one.event() == await two.event()
        assert server.live.streams == 2


async def test_a_stream_ends_after_a_while_and_says_how_soon_to_come_back(shop: Shop) -> None:
    async with served(shop, stream_s=0.3, keep_alive_s=0.05) as server, server.listening() as listening:
        first = await listening.event()
        assert first is not None
        assert await listening.event() is None
        assert listening.comments >= 2
    async with served(shop, stream_s=0.1) as server, httpx.AsyncClient(timeout=WAIT_S) as client:
        assert (await client.get(f"{server.url}/live")).text.startswith("retry: 1000\n\n")


async def test_streams_end_at_once_when_the_process_is_to_stop(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the server cuts them off, nor when their time is over."""
    monkeypatch.setattr(web_server, "OPEN_RESPONSES_S", 10 * WAIT_S)
    async with served(shop, stream_s=10 * WAIT_S) as server:
        async with server.listening() as one, server.listening() as two:
            await one.event()
            await two.event()
            server.stop.set()
            async with asyncio.timeout(WAIT_S):
                await server.serving
            assert await one.event() is None
            assert await two.event() is None
        assert server.live.streams == 0


async def test_a_page_that_is_closed_gives_its_place_back_and_nobody_watches_for_nobody(shop: Shop) -> None:
    async with served(shop) as server:
        async with server.listening() as listening:
            await listening.event()
            assert server.live.streams == 1
            assert server.live._watching is not None
        await until(lambda: server.live.streams == 0)
        await until(server.live._watching.done)
        assert server.live._version is None


async def test_there_are_only_so_many_streams(shop: Shop) -> None:
    async with served(shop, most_streams=2) as server:
        async with server.listening() as one, server.listening() as two:
            await one.event()
            await two.event()
            async with httpx.AsyncClient(timeout=WAIT_S) as client:
                refused = await client.get(f"{server.url}/live")
                metrics = (await client.get(f"{server.url}/metrics")).text
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert "countinghouse_live_streams 2.0" in metrics
        await until(lambda: server.live.streams == 0)
        async with server.listening() as again:
            await again.event()


async def test_a_stranger_hears_nothing(shop: Shop) -> None:
    async with served(shop) as server, httpx.AsyncClient(timeout=WAIT_S) as client:
        assert (await client.get(f"{server.url}/live", headers={"Host": "evil.example"})).status_code == 421


class Away(MemoryReadModel):
    """Can't be read, and says at once that there is news, while `is_away`."""

    is_away = False
    looks = 0

    async def version(self) -> FiguresVersion:
        self.looks += 1
        if self.is_away:
            raise StorageUnavailable("the disk is away")
        return await super().version()

    async def wait_for_news(self, timeout_s: float) -> bool:
        return True if self.is_away else await super().wait_for_news(timeout_s)


async def test_a_database_that_is_away_ends_no_stream_and_is_not_asked_all_the_time(shop: Shop) -> None:
    shop.read_model = read_model = Away(shop.clock)
    async with served(shop, keep_alive_s=0.2) as server, server.listening() as listening:
        await listening.event()
        read_model.is_away = True
        (before, asked_at) = (read_model.looks, asyncio.get_running_loop().time())
        await asyncio.sleep(1.5)
        assert read_model.looks - before <= 2 + 10 * (asyncio.get_running_loop().time() - asked_at)
        read_model.is_away = False
        await shop.happened(viewed(AUTUMN, "A"))
        event = await listening.event()
    assert event is not None
    assert event.data["offset"] == 1


class Deaf(MemoryReadModel):
    """Tells nobody of news, as a database behind a pooler that swallows them."""

    async def wait_for_news(self, timeout_s: float) -> bool:
        await asyncio.sleep(timeout_s)
        return False


async def test_a_hint_by_way_of_the_server_wakes_the_dashboards_of_other_processes(shop: Shop, valkey: Valkey) -> None:
    """They look by themselves once in ten minutes here, so what they hear they hear from the hint."""
    shop.read_model = Deaf(shop.clock)
    shop.cache = GuardedCache(RedisCache(valkey.url), Silence())
    consumer = GuardedCache(RedisCache(valkey.url), Silence())
    async with served(shop, look_every_s=600.0) as server, server.listening() as listening:
        await listening.event()
        await shop.happened(viewed(AUTUMN, "A"))
        hearing = asyncio.create_task(listening.event())
        while not hearing.done():
            consumer.hint()
            await asyncio.sleep(0.05)
        event = hearing.result()
    assert event is not None
    assert event.data["offset"] == 1
    await consumer.close()
    await shop.cache.close()


async def test_without_hints_and_news_it_looks_by_itself(shop: Shop) -> None:
    shop.read_model = Deaf(shop.clock)
    async with served(shop, look_every_s=0.05) as server, server.listening() as listening:
        await listening.event()
        await shop.happened(viewed(AUTUMN, "A"))
        assert await listening.event() is not None
