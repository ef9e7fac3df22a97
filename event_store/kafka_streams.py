"""Reading Kafka partition by partition, as whole batches that are at hand before they are asked for.

A partition that is read on and on is a stream: what comes next is fetched while the last part is being counted. Where a
stream has reached its end, it joins one request to each broker, which is answered as soon as anything is appended; so a
read at the end of a log costs no request, and the news of a record is the record.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from aiokafka.errors import KafkaError, NoError, OffsetOutOfRangeError

from .backoff import dropped
from .errors import HistoryLost, LogUnavailable
from .kafka_batches import FetchedBatches
from .kafka_cluster import TIMEOUT_S, KafkaCluster
from .kafka_fetch import RETRY_S, Fetched, KafkaFetch
from .kafka_reader import KafkaReader, check_offset, what_there_is
from .log import Bounds
from .record import RecordBatch, TopicPartition

log = logging.getLogger(__name__)

FETCH_BYTES = 2_000_000
"""Asked for of a partition at a time: more than a full batch of events such as ours. Twice as much may be kept."""
BYTES_PER_RECORD = 1_000
"""Where few records are wanted, so much of each is asked for; a broker sends a whole batch at the least."""
LISTEN_MS = 500
"""How long a broker holds a request at the ends of partitions."""
FRESH_S = 2.0
"""How long the end of a partition is believed. A broker that is well answers several times meanwhile."""
LET_GO_S = 10.0
"""A stream that nobody has asked for in so long is dropped, with what it holds."""


@dataclass(slots=True)
class _Stream:
    batches: FetchedBatches
    asked_s: float
    end: int = 0
    """Of the partition, as its leader said last."""
    heard_s: float = float("-inf")
    coming: asyncio.Task[bool] | None = None
    """A fetch of its own, and whether it brought records."""

    @property
    def is_behind(self) -> bool:
        """Whether there is more than what came."""
        return self.batches.next_offset < self.end

    @property
    def has_room(self) -> bool:
        return self.batches.size_bytes < FETCH_BYTES

    def knows_end(self, offset: int, now_s: float) -> bool:
        """Whether there is nothing at `offset`."""
        at_end = self.batches.offset == offset == self.batches.next_offset and not self.is_behind
        return at_end and now_s - self.heard_s < FRESH_S

    def take_in(self, answer: Fetched) -> bool:
        """Whether it brought records. An answer to an older question is of no use."""
        if answer.offset != self.batches.next_offset:
            return False
        (self.end, self.heard_s) = (answer.end, time.monotonic())
        self.batches.add(answer.raw)
        return self.batches.next_offset > answer.offset


class KafkaStreams:
    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._fetch = KafkaFetch(cluster)
        self._reader = KafkaReader(cluster)  # It is asked for bounds alone.
        self._streams: dict[TopicPartition, _Stream] = {}
        self._turns: dict[TopicPartition, asyncio.Lock] = {}
        self._coming: set[asyncio.Task[bool]] = set()
        self._listening: dict[int, asyncio.Task[bool]] = {}
        """The request that a broker holds, and whether it brought records."""

    async def read(self, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch:
        """See `Log.read`; the partition is known to exist."""
        async with self._turns.setdefault(tp, asyncio.Lock()):
            try:
                with self._cluster.asked(f"{tp}: read from offset {offset}"):
                    async with asyncio.timeout(TIMEOUT_S):
                        return await self._read(tp, offset, max_records)
            except (LogUnavailable, HistoryLost):
                self._streams.pop(tp, None)
                raise

    async def read_each(
        self, offsets: Mapping[TopicPartition, int], max_records: int
    ) -> Mapping[TopicPartition, RecordBatch]:
        now_s = time.monotonic()
        asked: dict[TopicPartition, int] = {}
        for tp, offset in offsets.items():
            stream = self._streams.get(tp)
            if stream is not None and stream.knows_end(offset, now_s):
                stream.asked_s = now_s
            else:
                asked[tp] = offset
        return await what_there_is(self.read, asked, max_records)

    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        return await self._reader.bounds(tps)

    async def wait_for_news(
        self, everywhere: Callable[[], Awaitable[Iterable[TopicPartition]]], timeout_s: float
    ) -> bool:
        """As `Log.wait_for_news`, of the partitions that are read; where none is, of those that `everywhere` names."""
        deadline_s = time.monotonic() + timeout_s
        for tp in [tp for tp, one in self._streams.items() if time.monotonic() - one.asked_s > LET_GO_S]:
            del self._streams[tp]
        if not self._streams:
            for tp, bounds in (await self.bounds(await everywhere())).items():
                self._begin(tp, bounds.end).end = bounds.end
        with self._cluster.asked("wait for news"):
            while True:
                if await self._heard():
                    return True
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                await self._listen()
                if self._listening:
                    await asyncio.wait(self._listening.values(), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                else:  # Every stream is behind, and read on by whoever reads it.
                    await asyncio.sleep(min(left_s, RETRY_S))

    async def close(self) -> None:
        await dropped([*self._listening.values(), *self._coming])
        await asyncio.gather(self._fetch.close(), self._reader.close())

    async def _read(self, tp: TopicPartition, offset: int, max_records: int) -> RecordBatch:
        stream = self._streams.get(tp)
        is_read_on = stream is not None and stream.batches.offset == offset
        if stream is None or not is_read_on:
            stream = self._begin(tp, offset)
        stream.asked_s = time.monotonic()
        await self._fill(stream, max_records)
        batch = stream.batches.take(max_records)
        if is_read_on and stream.is_behind and stream.batches.untaken < max_records:
            self._bring(stream, max_records)
        return batch

    async def _fill(self, stream: _Stream, max_records: int) -> None:
        """Until the stream has a full batch, or what it has room for, or all there is."""
        batches = stream.batches
        brought = bool(batches.untaken) or await asyncio.shield(self._bring(stream, max_records))
        while brought and batches.untaken < max_records and stream.is_behind and stream.has_room:
            brought = await asyncio.shield(self._bring(stream, max_records))

    def _bring(self, stream: _Stream, max_records: int) -> asyncio.Task[bool]:
        """What comes next in the stream; for all who want it, one fetch, which none of them cancels."""
        if stream.coming is None:
            stream.coming = asyncio.create_task(self._fetch_on(stream, max_records))
            stream.coming.add_done_callback(_seen)
            stream.coming.add_done_callback(self._coming.discard)
            self._coming.add(stream.coming)
        return stream.coming

    async def _fetch_on(self, stream: _Stream, max_records: int) -> bool:
        (tp, offset) = (stream.batches.tp, stream.batches.next_offset)
        try:
            answer = await self._asked(tp, offset, min(FETCH_BYTES, max_records * BYTES_PER_RECORD))
            return stream.take_in(answer)
        finally:
            stream.coming = None

    async def _asked(self, tp: TopicPartition, offset: int, most_bytes: int) -> Fetched:
        """Raises HistoryLost for an offset that the partition has not; a leader alone may be wrong about that."""
        async with asyncio.timeout(TIMEOUT_S):
            while (answer := await self._fetch.one(tp, offset, most_bytes)).error is OffsetOutOfRangeError:
                check_offset(tp, offset, (await self.bounds([tp]))[tp])
                await asyncio.sleep(RETRY_S)
        return answer

    async def _listen(self) -> None:
        """Sees to it that every broker holds a request for the streams that are at their end."""
        waiting = {tp: one for tp, one in self._streams.items() if one.has_room and not one.is_behind}
        for leader, tps in (await self._fetch.leaders(waiting)).items():
            if leader not in self._listening:
                streams = {tp: waiting[tp] for tp in tps}
                self._listening[leader] = asyncio.create_task(self._hear(leader, streams))
                self._listening[leader].add_done_callback(_seen)

    async def _hear(self, leader: int, streams: Mapping[TopicPartition, _Stream]) -> bool:
        offsets = {tp: one.batches.next_offset for tp, one in streams.items()}
        failed = set(streams)
        came = False
        try:
            answers = await self._fetch.of_leader(leader, offsets, FETCH_BYTES, LISTEN_MS)
            for tp, one in answers.items():
                if one.error is NoError:
                    came |= streams[tp].take_in(one)
                    failed.discard(tp)
        except (KafkaError, LogUnavailable) as error:
            log.info("Kafka's broker %s does not tell what is new: %r", leader, error)
        for tp in failed:  # Whoever reads them next is told why, or finds their new leader.
            self._streams.pop(tp, None)
        if failed:
            await asyncio.sleep(RETRY_S)
        return came or bool(failed)

    async def _heard(self) -> bool:
        """Whether a request that has ended brought anything. Raises what ended it otherwise."""
        ended = {leader: task for leader, task in self._listening.items() if task.done()}
        for leader in ended:
            del self._listening[leader]
        return any(task.result() for task in ended.values())

    def _begin(self, tp: TopicPartition, offset: int) -> _Stream:
        self._streams[tp] = _Stream(FetchedBatches(tp, offset), time.monotonic())
        return self._streams[tp]


def _seen(task: asyncio.Task[bool]) -> None:
    """What a fetch that nobody waited for came to is asked of nobody: whoever reads on asks again."""
    if not task.cancelled():
        task.exception()
