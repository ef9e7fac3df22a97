"""A Kafka cluster as the log's clients see it: where it is, how topics are named there, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, UnknownTopicOrPartitionError

from .errors import LogUnavailable, UnknownTopic
from .record import TopicPartition

TIMEOUT_S = 15.0
"""How long one call may take. What an append that takes longer came to is unknown."""
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

    @property
    def options(self) -> dict[str, Any]:
        """For every client."""
        return {"bootstrap_servers": self.bootstrap.split(","), "request_timeout_ms": int(TIMEOUT_S * 1000)}

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
    _client: Any = None
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    async def get(self) -> Any:
        async with self._starting:
            if self._client is None:
                client = self.make()
                try:
                    async with asyncio.timeout(TIMEOUT_S):
                        await client.start()
                except BaseException:
                    await _stop(client)  # A client that did not start keeps its connections.
                    raise
                self._client = client
        return self._client

    def drop(self, used: Any = None) -> None:
        """Stops it in the background; whoever needs it next gets a new one.

        With `used` only if that is still the one: of several calls that failed over one client the first drops it.
        """
        if used is not None and used is not self._client:
            return
        (client, self._client) = (self._client, None)
        if client is not None:
            task = asyncio.get_running_loop().create_task(_stop(client))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        self.drop()
        if self._leaving:
            await asyncio.wait(self._leaving)


async def _stop(client: Any) -> None:
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
