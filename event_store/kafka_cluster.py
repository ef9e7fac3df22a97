"""A Kafka cluster as the log's clients see it: where it is, how topics are named there, and what its errors mean."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, UnknownTopicOrPartitionError

from .errors import LogUnavailable, UnknownTopic
from .kafka_contact import connection_options, make_contact
from .kafka_options import PLAIN_TEXT, KafkaSecurity
from .record import TopicPartition

TIMEOUT_S = 15.0
"""How long one call may take. What an append that takes longer came to is unknown."""
RETRY_BACKOFF_MS = 500
"""How long a client waits before it tries a broker again. With aiokafka's own 100 ms a process calls one that is away,
or lets nobody in, fifty times a second."""
START_PAUSE_S = 1.0
"""How long a client that could not start is not started again: all who ask meanwhile hear the same."""
STOP_TIMEOUT_S = 3.0
"""aiokafka's clients may wait for ever to be stopped while a broker is away."""


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    bootstrap: str
    """`host:port`, several with commas between them."""
    prefix: str = ""
    """Begins the name of every topic and group of ours, where a cluster is shared."""
    replication: int = 1
    min_insync: int = 1
    """How many replicas have a record before its append is acknowledged."""
    security: KafkaSecurity = PLAIN_TEXT
    fast_fetch: bool = True
    """See `KafkaOptions`."""

    @property
    def options(self) -> dict[str, Any]:
        """For every client. Raises LogUnavailable where a certificate or key can't be read."""
        brokers = self.bootstrap.split(",")
        return {"bootstrap_servers": brokers, "retry_backoff_ms": RETRY_BACKOFF_MS, **self.connection_options}

    @property
    def connection_options(self) -> dict[str, Any]:
        """For a connection to one broker. Raises LogUnavailable, likewise."""
        return {"request_timeout_ms": int(TIMEOUT_S * 1000), **connection_options(self.security)}

    def client(self, make: Callable[[], Any]) -> KafkaClient:
        """A client that `make` makes with our options."""
        return KafkaClient(make, lambda: make_contact(self.bootstrap, self.security))

    def name(self, topic: str) -> str:
        return self.prefix + topic

    def there(self, tp: TopicPartition) -> KafkaPartition:
        return KafkaPartition(self.name(tp.topic), tp.partition)

    def here(self, there: KafkaPartition) -> TopicPartition:
        return TopicPartition(there.topic.removeprefix(self.prefix), there.partition)

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Raises UnknownTopic, or LogUnavailable for anything else that Kafka or the way to it reports."""
        try:
            yield
        except UnknownTopicOrPartitionError as error:
            raise UnknownTopic(f"{what}: Kafka at {self.bootstrap} has no such topic or partition") from error
        except (KafkaError, ConsumerStoppedError, TimeoutError, OSError) as error:
            said = str(error) or type(error).__name__
            raise LogUnavailable(
                f"{what}: Kafka at {self.bootstrap} did not do it ({said}). "
                "It is tried again; look at the brokers, the way to them and COUNTINGHOUSE_LOG_URL."
            ) from error


@dataclass(slots=True)
class KafkaClient:
    """A producer, consumer or admin client of aiokafka, started at its first use, and anew after `drop`."""

    make: Callable[[], Any]
    contact: Callable[[], Awaitable[None]]
    """Comes before each start, and says what is wrong where the client's own start would not."""
    clock: Callable[[], float] = time.monotonic
    _client: Any = None
    _failure: LogUnavailable | None = None
    _failed_at_s: float = float("-inf")
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _users: Counter[Any] = field(default_factory=Counter)
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    async def get(self) -> Any:
        async with self._starting:
            if self._client is None:
                await self._make_contact()
                client = self.make()
                try:
                    async with asyncio.timeout(TIMEOUT_S):
                        await client.start()
                except BaseException:
                    await _stop(client)  # A client that did not start keeps its connections.
                    raise
                self._client = client
        return self._client

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Any]:
        """The client. If the block fails it is dropped, but stopped only when all blocks that use it have ended.

        So one call that fails over a client that many share costs the others nothing.
        """
        client = await self.get()
        self._users[client] += 1
        try:
            yield client
        except BaseException:
            if client is self._client:
                self._client = None
            raise
        finally:
            self._users[client] -= 1
            if not self._users[client]:
                del self._users[client]
                if client is not self._client:
                    self._leave(client)

    async def _make_contact(self) -> None:
        if self._failure is not None and self.clock() < self._failed_at_s + START_PAUSE_S:
            raise LogUnavailable(str(self._failure)) from self._failure
        try:
            await self.contact()
        except LogUnavailable as error:
            (self._failure, self._failed_at_s) = (error, self.clock())
            raise
        self._failure = None

    def drop(self, used: Any = None) -> None:
        """Stops it in the background; whoever needs it next gets a new one.

        With `used` only if that is still the one: of several calls that failed over one client the first drops it.
        """
        if used is not None and used is not self._client:
            return
        (client, self._client) = (self._client, None)
        if client is not None:
            self._leave(client)

    def _leave(self, client: Any) -> None:
        task = asyncio.get_running_loop().create_task(_stop(client))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        self.drop()
        if self._leaving:
            await asyncio.wait(self._leaving)


async def _stop(client: Any) -> None:
    """Ends the client for good: one that is only let go of keeps its connections, and goes on making new ones."""
    stop = client.close if hasattr(client, "close") else client.stop
    # Stopping a consumer may cancel itself, and a producer's may hang in what it still has to send.
    stopping = asyncio.ensure_future(stop())
    await asyncio.wait([stopping], timeout=STOP_TIMEOUT_S)
    sender = getattr(getattr(client, "_sender", None), "sender_task", None)
    for task in (stopping, sender):
        if task is not None and not task.done():
            task.cancel()
            with suppress(BaseException):
                await asyncio.wait([task], timeout=STOP_TIMEOUT_S)
    if not stopping.cancelled():
        stopping.exception()
    _give_up_unsent(client)
    # A producer shows its connections, other clients hide them, and a plain client is its connections.
    connections = getattr(client, "client", None) or getattr(client, "_client", client)
    with suppress(Exception):
        await asyncio.wait_for(connections.close(), STOP_TIMEOUT_S)


def _give_up_unsent(client: Any) -> None:
    """Of a producer: ends the batches that it holds, since a task of its own waits for them."""
    held = getattr(client, "_message_accumulator", None)
    if held is None:
        return
    # One that was queued again is taken from those pending when its future ends, and must be among them.
    held._pending_batches.update(chain.from_iterable(held._batches.values()))  # noqa: SLF001
    for batch in list(held._pending_batches):  # noqa: SLF001
        batch.future.cancel()
