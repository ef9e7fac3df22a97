"""`/live`: server-sent events that tell open pages when figures have moved, so that they ask for them.

    event: figures
    id: 3f0c…                      the version; a client that comes back with it as Last-Event-ID hears of the next
    data: {"generation":1,"offset":812}

One watch in each process serves all its streams, and only while there are some. News of the database and hints by way
of the cache wake it; it looks by itself, too, since either may be missed. A stream ends after a while, and at once when
the process is to stop: whoever listens connects again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from prometheus_client import CollectorRegistry, Gauge

from event_store.backoff import dropped, first_of
from event_store.errors import EventStoreError
from projections.read_model import FiguresVersion, ReadModel

from .cached_figures import tag_of
from .guarded_cache import GuardedCache
from .sign_in.access import needs
from .sign_in.roles import Role

MOST_STREAMS = 300
LOOKS_APART_S = 0.1
RETRY = b"retry: 1000\n\n"
"""How long a client waits before it connects again, in milliseconds."""
KEEP_ALIVE = b": \n\n"


@dataclass(slots=True)
class Live:
    """Streams of one process. `stop` is set when the process is to end; streams end first."""

    read_model: ReadModel
    cache: GuardedCache
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    most_streams: int = MOST_STREAMS
    events_apart_s: float = 1.0
    look_every_s: float = 1.0
    keep_alive_s: float = 15.0
    stream_s: float = 60.0
    streams: int = 0
    _version: FiguresVersion | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the known version is no longer the version; another event stands in its place then."""
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return self.streams >= self.most_streams

    async def events(self, seen: str | None) -> AsyncGenerator[bytes, None]:
        """One stream: first the version there is, unless it is the one that was `seen`, then each one after it."""
        with self._place():
            yield RETRY
            until_s = time.monotonic() + self.stream_s
            while not self.stop.is_set() and (left_s := until_s - time.monotonic()) > 0:
                (version, changed) = (self._version, self._changed)
                if version is not None and tag_of(version).hex() != seen:
                    seen = tag_of(version).hex()
                    yield _event(version, seen)
                    await first_of(self.stop.wait(), asyncio.sleep(min(self.events_apart_s, left_s)))
                else:
                    wait_s = min(self.keep_alive_s, left_s)
                    await first_of(self.stop.wait(), changed.wait(), asyncio.sleep(wait_s))
                    if not changed.is_set():
                        yield KEEP_ALIVE

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Nothing is awaited at its end, so that a stream which is dropped anywhere gives it back."""
        self.streams += 1
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self.streams -= 1

    async def close(self) -> None:
        """Ends the watch, before what it looks at is closed."""
        if self._watching is not None:
            await dropped([self._watching])

    async def _watch(self) -> None:
        """Until nobody has listened for a moment: a click on a link ends one stream and begins another."""
        while self.streams:
            waits = (self.read_model.wait_for_news, self.cache.wait_for_hint)
            waking = [asyncio.create_task(self._wake(wait)) for wait in waits]
            try:
                while self.streams:
                    await self._look()
                    await first_of(self._woken.wait(), asyncio.sleep(self.look_every_s))
            finally:
                await dropped(waking)
        self._version = None

    async def _look(self) -> None:
        self._woken.clear()
        try:
            self._note(await self.read_model.version())
        except EventStoreError:
            await asyncio.sleep(self.look_every_s)
        await asyncio.sleep(LOOKS_APART_S)

    def _note(self, version: FiguresVersion) -> None:
        if version != self._version:
            (changed, self._changed) = (self._changed, asyncio.Event())
            self._version = version
            changed.set()

    async def _wake(self, wait: Callable[[float], Awaitable[bool]]) -> None:
        """Sets the watch to look when `wait` says so."""
        while True:
            try:
                if await wait(self.look_every_s):
                    self._woken.set()
                await asyncio.sleep(LOOKS_APART_S)
            except EventStoreError:
                await asyncio.sleep(self.look_every_s)


def _event(version: FiguresVersion, tag: str) -> bytes:
    data = msgspec.json.encode({"generation": version.generation, "offset": version.offset})
    return b"event: figures\nid: %b\ndata: %b\n\n" % (tag.encode(), data)


def streams_gauge(registry: CollectorRegistry) -> Gauge:
    return Gauge("countinghouse_live_streams", "Pages that listen for news of the figures.", registry=registry)


def route(live: Live) -> HTTPRouteHandler:
    @get("/live", include_in_schema=False, opt=needs(Role.VIEWER))
    async def stream(request: Request[Any, Any, Any]) -> Stream | Response[str]:
        if live.is_full:
            return Response("Too many pages are listening.\n", status_code=503, headers={"Retry-After": "10"})
        events = live.events(request.headers.get("last-event-id"))
        return Stream(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    return stream
