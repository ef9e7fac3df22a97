"""Fetch requests to the leaders of partitions, whose answers stay as the brokers sent them.

aiokafka's own consumer makes an object of each record, which takes longer than all else that is done to fetch it. Here
whole record batches are handed on. Who leads what, and how a broker is reached, its client knows.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiokafka
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    LeaderNotAvailableError,
    NoError,
    OffsetOutOfRangeError,
    StaleMetadata,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11
from aiokafka.record.default_records import DefaultRecordBatch

from .kafka_cluster import TIMEOUT_S, KafkaCluster
from .kafka_wire import KafkaWire
from .record import TopicPartition

WRITTEN_FOR = "0.14."
"""The versions of aiokafka whose insides are used here and in what we use."""
ANSWERED = (
    "partition",
    "error_code",
    "highwater_offset",
    "last_stable_offset",
    "log_start_offset",
    "aborted_transactions",
    "preferred_read_replica",
    "message_set",
)
"""What an answer has of each partition."""
ANSWER_BYTES = 32_000_000
"""The most that is asked for in one request."""
RETRY_S = 0.1
NOBODY = -1
"""The leader of a partition that has none."""
UNKNOWN_FOR_S = 10.0
"""How long a partition may be unknown: a topic that was just made takes a moment to be known everywhere, and a broker
that has just started may take some until it knows its own."""

_HEAD = struct.Struct(">ihii")
"""Throttle time, error, session, number of topics."""
_SHORT = struct.Struct(">h")
_INT = struct.Struct(">i")
_PARTITION = struct.Struct(">ihqqqi")
"""Up to the number of aborted transactions, each of which takes 16 bytes."""
_RECORDS = struct.Struct(">ii")
"""The replica to read from, and the size of the records."""


def misfit() -> str | None:
    """Why the installed aiokafka is not one that this was written against; None where it is."""
    if not aiokafka.__version__.startswith(WRITTEN_FOR):
        return f"aiokafka {aiokafka.__version__} is installed, and {WRITTEN_FOR}x is known"
    fields = FetchResponse_v11.SCHEMA.fields[-1].array_of.fields[-1].array_of.names
    if fields != ANSWERED:
        return f"aiokafka reads the answer to a fetch as {', '.join(fields)}"
    if not DefaultRecordBatch.__module__.startswith("aiokafka.record._crecords"):
        return "aiokafka has no compiled reader of record batches here"
    return None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a leader answered for one partition."""

    offset: int
    """That was asked for."""
    end: int
    """The partition's end at that moment."""
    raw: memoryview
    """Record batches, the first of which has `offset`; empty at the end."""
    error: type[KafkaError]
    """NoError where there is none."""


class _Client(AIOKafkaClient):  # type: ignore[misc]
    async def start(self) -> None:
        await self.bootstrap()


class KafkaFetch:
    def __init__(self, cluster: KafkaCluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._client = cluster.client(lambda: _Client(**cluster.options))
        self._wires: dict[tuple[int, bool], KafkaWire] = {}
        """Leader, and whether it may hold requests there: meanwhile it answers no other on the same connection."""
        self._opening: dict[tuple[int, bool], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def one(self, tp: TopicPartition, offset: int, most_bytes: int) -> Fetched:
        """What the partition has at `offset`, at once. The answer may say that it has no such offset.

        Raises KafkaError; whatever may pass, such as a leader that moves, is tried again until TimeoutError.
        """
        client: Any = await self._client.get()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._patiently(client, tp, offset, most_bytes)
        except (KafkaError, TimeoutError):
            self._client.drop(client)  # It may know none of the brokers that there are by now.
            raise

    async def leaders(self, tps: Iterable[TopicPartition]) -> Mapping[int, list[TopicPartition]]:
        """Who leads them; those whose leader nobody knows at the moment are left out. Raises KafkaError."""
        client: Any = await self._client.get()
        found: dict[int, list[TopicPartition]] = defaultdict(list)
        for tp in tps:
            with suppress(LeaderNotAvailableError, UnknownTopicOrPartitionError):
                found[await self._leader(client, tp)].append(tp)
        return found

    async def of_leader(
        self, leader: int, offsets: Mapping[TopicPartition, int], most_bytes: int, wait_ms: int
    ) -> Mapping[TopicPartition, Fetched]:
        """One request to one broker, which holds it for up to `wait_ms` where there is nothing. Raises KafkaError.

        `most_bytes` are of each partition.
        """
        asked: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for tp, offset in offsets.items():
            asked[self._cluster.name(tp.topic)].append((tp.partition, offset, most_bytes))
        request = FetchRequest(wait_ms, 1, ANSWER_BYTES, 0, list(asked.items())).build(FetchRequest_v11)
        wire = await self._wire(leader, wait_ms > 0)
        answer = await wire.ask(request, wait_ms / 1000 + TIMEOUT_S)
        try:
            return dict(self._read(answer, offsets))
        except (struct.error, UnicodeDecodeError, KeyError) as error:
            wire.close()
            raise CorruptRecordException(f"an answer to a fetch that can't be read: {error}") from error

    def _read(
        self, answer: memoryview, offsets: Mapping[TopicPartition, int]
    ) -> Iterator[tuple[TopicPartition, Fetched]]:
        for topic, partition, end, raw, code in _answers(answer):
            tp = TopicPartition(topic.removeprefix(self._cluster.prefix), partition)
            yield tp, Fetched(offsets[tp], end, raw, for_code(code))

    async def close(self) -> None:
        for wire in self._wires.values():
            wire.close()
        await self._client.close()

    async def _patiently(self, client: Any, tp: TopicPartition, offset: int, most_bytes: int) -> Fetched:
        known_s = self._clock()
        while True:
            try:
                return await self._once(client, tp, offset, most_bytes)
            except UnknownTopicOrPartitionError:
                if self._clock() - known_s > UNKNOWN_FOR_S:
                    raise
            except KafkaError as error:
                if not error.retriable:
                    raise
                known_s = self._clock()  # A broker that can't be reached says nothing of the topic.
            await asyncio.sleep(RETRY_S)
            await client.force_metadata_update()

    async def _once(self, client: Any, tp: TopicPartition, offset: int, most_bytes: int) -> Fetched:
        answer = (await self.of_leader(await self._leader(client, tp), {tp: offset}, most_bytes, 0))[tp]
        if answer.error not in (NoError, OffsetOutOfRangeError):
            raise answer.error(f"{tp}, offset {offset}")
        return answer

    async def _leader(self, client: Any, tp: TopicPartition) -> int:
        await client.add_topic(self._cluster.name(tp.topic))
        leader: int | None = client.cluster.leader_for_partition(self._cluster.there(tp))
        if leader is None:
            raise UnknownTopicOrPartitionError(f"{tp}")
        if leader == NOBODY:
            raise LeaderNotAvailableError(f"{tp}")
        return leader

    async def _wire(self, leader: int, holds: bool) -> KafkaWire:
        async with self._opening[leader, holds]:
            wire = self._wires.get((leader, holds))
            if wire is None or not wire.is_open:
                client: Any = await self._client.get()
                broker = client.cluster.broker_metadata(leader)
                if broker is None:
                    raise StaleMetadata(f"broker {leader}")
                options = self._cluster.connection_options
                self._wires[leader, holds] = wire = await KafkaWire.opened(broker.host, broker.port, options)
        return wire


def _answers(answer: memoryview) -> Iterator[tuple[str, int, int, memoryview, int]]:
    """Topic, partition, its end, its record batches and an error's code, of each partition in FetchResponse_v11."""
    (_, code, _, topics) = _HEAD.unpack_from(answer)
    at = _HEAD.size
    if code:
        raise for_code(code)("the whole request")
    for _ in range(topics):
        (length,) = _SHORT.unpack_from(answer, at)
        topic = str(answer[at + _SHORT.size : at + _SHORT.size + length], "utf-8")
        at += _SHORT.size + length
        (partitions,) = _INT.unpack_from(answer, at)
        at += _INT.size
        for _ in range(partitions):
            (partition, code, end, _, _, aborted) = _PARTITION.unpack_from(answer, at)
            at += _PARTITION.size + 16 * max(aborted, 0)
            (_, size_bytes) = _RECORDS.unpack_from(answer, at)
            at += _RECORDS.size
            yield topic, partition, end, answer[at : at + max(size_bytes, 0)], code
            at += max(size_bytes, 0)
