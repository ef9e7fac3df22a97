"""The back ends that every contract is held over. A new one is one opener and one line in its table."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import pytest

from backoffice.cache import Cache
from backoffice.memory_cache import MemoryCache
from backoffice.redis_cache import RedisCache
from event_store.codec import Draft
from event_store.kafka_cluster import KafkaCluster
from event_store.kafka_log import KafkaLog
from event_store.lease import Leases
from event_store.log import Log
from event_store.memory_leases import MemoryLeases
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.outbox import Outbox
from event_store.postgres_leases import PostgresLeases
from event_store.postgres_outbox import PostgresOutbox
from event_store.sqlite_leases import SqliteLeases
from event_store.sqlite_log import SqliteLog
from event_store.sqlite_outbox import SqliteOutbox
from projections.catalogue import PROJECTIONS
from projections.memory_read_model import MemoryReadModel
from projections.postgres_read_model import PostgresReadModel
from projections.read_model import ReadModel
from projections.sqlite_read_model import SqliteReadModel
from tests.servers.commerce import BEHIND_A_POOLER, EVERY, POSTGRES, version_of
from tests.servers.kafka import Broker
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import Valkey

CACHE_TTL_S = 0.3
"""Of the caches under test."""
LANES = {"catalog-events": 2, "order-events": 1}
"""Topic → partitions, in every outbox under test."""


@dataclass(slots=True)
class Clock:
    """The clock of the in-memory back ends, which only moves when a test lets time pass."""

    now_us: int = field(default_factory=lambda: time.time_ns() // 1000)

    def __call__(self) -> int:
        return self.now_us


@dataclass(frozen=True, slots=True)
class Place:
    """Where back ends of one test live: two opened at one place see the same contents."""

    folder: Path
    clock: Clock
    postgres_of: Callable[[int], PostgresServer]
    kafka: Callable[[], Broker]
    valkey: Callable[[], Valkey]
    shared: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, made: Callable[[], Any]) -> Any:
        if name not in self.shared:
            self.shared[name] = made()
        return self.shared[name]


class Closable(Protocol):
    async def close(self) -> None: ...


class ClosableLeases(Leases, Closable, Protocol): ...


C = TypeVar("C", bound=Closable)
Open = Callable[[], Awaitable[C]]
"""Opens a back end at the test's place; the second one is as another process would see it."""
Elapse = Callable[[float], Awaitable[None]]
Write = Callable[[Sequence[Draft]], Awaitable[None]]
Openers = Mapping[str, Callable[[Place], Awaitable[C]]]


async def memory_log(place: Place) -> Log:
    log: Log = place.once("log", lambda: MemoryLog(place.clock))
    return log


async def sqlite_log(place: Place) -> Log:
    return SqliteLog(place.folder / "log.db")


async def memory_outbox(place: Place) -> Outbox:
    outbox: Outbox = place.once("outbox", lambda: MemoryOutbox(LANES, place.clock))
    return outbox


async def sqlite_outbox(place: Place) -> Outbox:
    return SqliteOutbox(place.folder / "commerce.db", LANES)


async def memory_leases(place: Place) -> ClosableLeases:
    leases: ClosableLeases = place.once("leases", lambda: MemoryLeases(place.clock))
    return leases


async def sqlite_leases(place: Place) -> ClosableLeases:
    return SqliteLeases(place.folder / "backoffice.db")


async def postgres_leases(place: Place, version: int) -> ClosableLeases:
    return PostgresLeases(await postgres_url(place, version))


async def memory_read_model(place: Place) -> ReadModel:
    read_model: ReadModel = place.once("read model", lambda: MemoryReadModel(place.clock))
    return read_model


async def sqlite_read_model(place: Place) -> ReadModel:
    return SqliteReadModel(place.folder / "backoffice.db", PROJECTIONS)


async def postgres_outbox(place: Place, version: int) -> Outbox:
    return PostgresOutbox(await postgres_url(place, version), LANES)


async def postgres_read_model(place: Place, version: int) -> ReadModel:
    return PostgresReadModel(await postgres_url(place, version), PROJECTIONS)


async def kafka_log(place: Place) -> Log:
    """Topics of one test are its own by their prefix."""
    prefix: str = place.once("prefix", lambda: f"{uuid4().hex[:8]}.")
    return KafkaLog(KafkaCluster(place.kafka().address, prefix))


async def memory_cache(place: Place) -> Cache:
    cache: Cache = place.once("cache", lambda: MemoryCache(ttl_s=CACHE_TTL_S, clock=lambda: place.clock() / 1e6))
    return cache


async def valkey_cache(place: Place) -> Cache:
    return RedisCache(place.valkey().url, ttl_s=CACHE_TTL_S)


def on_postgres(opener: Callable[[Place, int], Awaitable[C]]) -> Openers[C]:
    """One for each version that is there, the newest first, and one behind a pooler."""

    def on(kind: str) -> Callable[[Place], Awaitable[C]]:
        return lambda place: opener(place, version_of(kind))

    return {kind: on(kind) for kind in EVERY if kind.startswith(POSTGRES)}


LOGS: Openers[Log] = {"memory": memory_log, "sqlite": sqlite_log, "kafka": kafka_log}
OUTBOXES: Openers[Outbox] = {"memory": memory_outbox, "sqlite": sqlite_outbox, **on_postgres(postgres_outbox)}
LEASES: Openers[ClosableLeases] = {"memory": memory_leases, "sqlite": sqlite_leases, **on_postgres(postgres_leases)}
READ_MODELS: Openers[ReadModel] = {
    "memory": memory_read_model,
    "sqlite": sqlite_read_model,
    **on_postgres(postgres_read_model),
}
DOORS: dict[str, Openers[Any]] = {
    "open_log": LOGS,
    "open_outbox": OUTBOXES,
    "open_leases": LEASES,
    "open_read_model": READ_MODELS,
}
CACHES: Openers[Cache] = {"memory": memory_cache, "valkey": valkey_cache}


def pytest_generate_tests(metafunc: Any) -> None:
    """Every contract is held over every back end; over older servers and behind a pooler where its module says that it

    matters there.
    """
    for door in DOORS.keys() & set(metafunc.fixturenames):
        with_older = getattr(metafunc.module, "WITH_OLDER_SERVERS", False)
        names = [name for name in DOORS[door] if with_older or not name.startswith(f"{POSTGRES} ")]
        if metafunc.definition.get_closest_marker("notified"):
            names = [name for name in names if name != BEHIND_A_POOLER]
        metafunc.parametrize(door, names, indirect=True)


async def postgres_url(place: Place, version: int) -> str:
    """The database of this test, made when its first back end is opened."""
    server = place.postgres_of(version)
    if POSTGRES not in place.shared:
        place.shared[POSTGRES] = (server, await server.create_migrated_database())
    return server.url(place.shared[POSTGRES][1])


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    (kafka, valkey) = (partial(request.getfixturevalue, name) for name in ("kafka", "valkey"))
    place = Place(tmp_path, Clock(), request.getfixturevalue("postgres_of"), kafka, valkey)
    yield place
    if POSTGRES in place.shared:
        (server, name) = place.shared[POSTGRES]
        await server.drop_database(name)


@pytest.fixture
def elapse(place: Place) -> Elapse:
    """Lets seconds pass on every clock there is."""

    async def wait(seconds: float) -> None:
        place.clock.now_us += round(seconds * 1e6)
        await asyncio.sleep(seconds)

    return wait


async def doors(place: Place, opener: Callable[[Place], Awaitable[C]]) -> AsyncIterator[Open[C]]:
    opened: list[C] = []

    async def open_one() -> C:
        opened.append(await opener(place))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


@pytest.fixture
async def open_log(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[Log]]:
    async for door in doors(place, LOGS[request.param]):
        yield door


@pytest.fixture
async def open_outbox(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[Outbox]]:
    async for door in doors(place, OUTBOXES[request.param]):
        yield door


@pytest.fixture
async def open_leases(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[ClosableLeases]]:
    async for door in doors(place, LEASES[request.param]):
        yield door


@pytest.fixture
async def open_read_model(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[ReadModel]]:
    async for door in doors(place, READ_MODELS[request.param]):
        yield door


@pytest.fixture(params=CACHES)
async def open_cache(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[Cache]]:
    async for door in doors(place, CACHES[request.param]):
        yield door


@pytest.fixture
async def log(open_log: Open[Log]) -> Log:
    return await open_log()


@pytest.fixture
async def outbox(open_outbox: Open[Outbox]) -> Outbox:
    return await open_outbox()


@pytest.fixture
def write(outbox: Outbox) -> Write:
    """Writes drafts in a transaction of their own, as the back end under test does it."""

    async def write_all(drafts: Sequence[Draft]) -> None:
        written = outbox.write(drafts)  # type: ignore[attr-defined]
        if inspect.isawaitable(written):
            await written

    return write_all


@pytest.fixture
async def leases(open_leases: Open[ClosableLeases]) -> Leases:
    return await open_leases()


@pytest.fixture
async def cache(open_cache: Open[Cache]) -> Cache:
    return await open_cache()


@pytest.fixture
async def read_model(open_read_model: Open[ReadModel]) -> ReadModel:
    return await open_read_model()
