"""The log beyond the archive, decoded once: what is asked for again and again need not be decoded again and again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

import polars as pl

from .decoded_batch import decode_batch
from .facts import Facts, joined
from .history import History
from .record import TopicPartition, fingerprint

MOST_KEPT_RECORDS = 100_000
"""Of one partition, several times what an archiver leaves to the log; where none is at work, longer tails are decoded
at each question."""


@dataclass(slots=True)
class _Kept:
    first_offset: int
    next_offset: int
    last_fingerprint: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class DecodedTail:
    """Facts of each partition's newest records, as a process keeps them that answers questions."""

    history: History
    most_records: int = MOST_KEPT_RECORDS
    _kept: dict[TopicPartition, _Kept] = field(default_factory=dict)
    _turns: dict[TopicPartition, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def facts(self, tp: TopicPartition, start: int, end: int) -> Facts:
        """Of the records [start, end). Raises HistoryLost where the log doesn't reach so far."""
        if start >= end:
            return {}
        async with self._turns[tp]:
            kept = await self._usable(tp, start)
            at = kept.next_offset if kept else start
            parts = [kept.facts] if kept else []
            while at < end:
                records = await self.history.read_counted(tp, at, end)
                batch = await asyncio.to_thread(decode_batch, self.history.codec, records)
                parts.append(batch.facts)
                at = batch.next_offset
                kept = _Kept(start, at, batch.last_fingerprint, {})
            if kept is None:
                return {}
            kept.facts = joined(parts)
            self._keep(tp, kept)
        return _within(kept.facts, start, end)

    async def _usable(self, tp: TopicPartition, start: int) -> _Kept | None:
        """What is kept from `start` on, unless the log has other records there by now."""
        kept = self._kept.get(tp)
        if kept is None or not kept.first_offset <= start < kept.next_offset:
            return None
        last = await self.history.log.read(tp, kept.next_offset - 1, 1)
        if not len(last) or fingerprint(last.values[0]) != kept.last_fingerprint:
            return None
        facts = _within(kept.facts, start, kept.next_offset)
        return _Kept(start, kept.next_offset, kept.last_fingerprint, facts)

    def _keep(self, tp: TopicPartition, kept: _Kept) -> None:
        if kept.next_offset - kept.first_offset <= self.most_records:
            self._kept[tp] = kept
        else:
            self._kept.pop(tp, None)


def _within(facts: Facts, start: int, end: int) -> Facts:
    return {event: frame.filter(pl.col("offset").is_between(start, end - 1)) for event, frame in facts.items()}
