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
from tests.servers.kafka import Broker
from tests.servers.postgres import PostgresServer

POSTGRES = "postgres database"
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
    postgres: Callable[[], PostgresServer]
    kafka: Callable[[], Broker]
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


async def postgres_leases(place: Place) -> ClosableLeases:
    return PostgresLeases(await postgres_url(place))


async def memory_read_model(place: Place) -> ReadModel:
    read_model: ReadModel = place.once("read model", lambda: MemoryReadModel(place.clock))
    return read_model


async def sqlite_read_model(place: Place) -> ReadModel:
    return SqliteReadModel(place.folder / "backoffice.db", PROJECTIONS)


async def postgres_outbox(place: Place) -> Outbox:
    return PostgresOutbox(await postgres_url(place), LANES)


async def postgres_read_model(place: Place) -> ReadModel:
    return PostgresReadModel(await postgres_url(place), PROJECTIONS)


async def kafka_log(place: Place) -> Log:
    """Topics of one test are its own by their prefix."""
    prefix: str = place.once("prefix", lambda: f"{uuid4().hex[:8]}.")
    return KafkaLog(KafkaCluster(place.kafka().address, prefix))


LOGS: Openers[Log] = {"memory": memory_log, "sqlite": sqlite_log, "kafka": kafka_log}
OUTBOXES: Openers[Outbox] = {"memory": memory_outbox, "sqlite": sqlite_outbox, "postgres": postgres_outbox}
LEASES: Openers[ClosableLeases] = {"memory": memory_leases, "sqlite": sqlite_leases, "postgres": postgres_leases}
READ_MODELS: Openers[ReadModel] = {
    "memory": memory_read_model,
    "sqlite": sqlite_read_model,
    "postgres": postgres_read_model,
}


async def postgres_url(place: Place) -> str:
    """The database of this test, made when its first back end is opened."""
    server = place.postgres()
    if POSTGRES not in place.shared:
        place.shared[POSTGRES] = await server.create_database()
    return server.url(place.shared[POSTGRES])


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    (postgres, kafka) = (partial(request.getfixturevalue, name) for name in ("postgres", "kafka"))
    place = Place(tmp_path, Clock(), postgres, kafka)
    yield place
    if POSTGRES in place.shared:
        await place.postgres().drop_database(place.shared[POSTGRES])


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


@pytest.fixture(params=LOGS)
async def open_log(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[Log]]:
    async for door in doors(place, LOGS[request.param]):
        yield door


@pytest.fixture(params=OUTBOXES)
async def open_outbox(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[Outbox]]:
    async for door in doors(place, OUTBOXES[request.param]):
        yield door


@pytest.fixture(params=LEASES)
async def open_leases(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[ClosableLeases]]:
    async for door in doors(place, LEASES[request.param]):
        yield door


@pytest.fixture(params=READ_MODELS)
async def open_read_model(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Open[ReadModel]]:
    async for door in doors(place, READ_MODELS[request.param]):
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
async def read_model(open_read_model: Open[ReadModel]) -> ReadModel:
    return await open_read_model()
