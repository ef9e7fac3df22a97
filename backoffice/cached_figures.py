"""Figures that are added up once and shown often: by every page of every dashboard, until something more is counted.

What is kept carries the version of the figures that it was made of, and is an answer only while the database, which is
asked each time, stands at that very version. So it doesn't matter what a cache has kept, lost or mixed up. Nor does it
matter what it makes up: entries are signed with a key of the database, and so are their keys, so that shops which
share a server never meet.
"""

from __future__ import annotations

import asyncio
import hmac
import io
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
import polars as pl

from event_store.errors import EventStoreError
from projections.catalogue import PROJECTIONS
from projections.figures import Question
from projections.read_model import FiguresReader, FiguresVersion

from .guarded_cache import GuardedCache, NotOurs

PREFIX = "countinghouse:figures:"
FORMAT = 2
"""Of what is signed and kept; another one never reads it."""
SEAL_BYTES = 32
TAG_BYTES = 16
MOST_BYTES = 4 * 1024 * 1024
"""A longer answer takes a cache as long as the database."""
MOST_UNPACKED_BYTES = 4 * MOST_BYTES

Compute = Callable[[], Coroutine[Any, Any, pl.DataFrame]]
_METRICS = {projection.name: list(projection.columns) for projection in PROJECTIONS}


class SigningReader(FiguresReader, Protocol):
    async def signing_key(self) -> bytes:
        """See `ReadModel.signing_key`."""
        ...


@dataclass(slots=True)
class CachedFigures:
    """A FiguresReader over the read model, or over what is kept of it. Both stay their owner's to close."""

    read_model: SigningReader
    cache: GuardedCache
    _signing_key: bytes | None = None
    _under_way: dict[tuple[str, bytes], asyncio.Task[pl.DataFrame]] = field(default_factory=dict)
    """What is being added up at the moment, for whoever asks the same."""

    async def serving(self) -> int:
        return await self.read_model.serving()

    async def version(self) -> FiguresVersion:
        return await self.read_model.version()

    async def extent(self, generation: int) -> tuple[int, int] | None:
        return await self.read_model.extent(generation)

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        asked = ("figures", question, [one.name for one in question.columns])
        return await self._answer(generation, asked, lambda: self.read_model.figures(generation, question))

    async def rows(self, generation: int, projection: str) -> pl.DataFrame:
        asked = ("rows", projection, _METRICS[projection])
        return await self._answer(generation, asked, lambda: self.read_model.rows(generation, projection))

    async def _answer(self, generation: int, asked: object, compute: Compute) -> pl.DataFrame:
        version = await self.read_model.version()
        if version.generation != generation:
            return await compute()
        signing_key = await self._known_signing_key()
        key = PREFIX + _signed(signing_key, b"key", msgspec.msgpack.encode((FORMAT, asked))).hex()
        entry = _Entry(signing_key, key, tag_of(version))
        kept = await self.cache.get(entry.key, entry.opened)
        return await self._computed(entry, version, compute) if kept is None else kept

    async def _known_signing_key(self) -> bytes:
        if self._signing_key is None:
            self._signing_key = await self.read_model.signing_key()
        return self._signing_key

    async def _computed(self, entry: _Entry, version: FiguresVersion, compute: Compute) -> pl.DataFrame:
        """One addition for all who ask for the same version of it at the same time."""
        place = (entry.key, entry.tag)
        task = self._under_way.get(place)
        if task is None:
            task = self._under_way[place] = asyncio.create_task(self._compute(entry, version, compute))
            task.add_done_callback(lambda done: self._over(place, done))
        return await asyncio.shield(task)

    def _over(self, place: tuple[str, bytes], done: asyncio.Task[pl.DataFrame]) -> None:
        del self._under_way[place]
        if not done.cancelled():
            done.exception()  # Where everybody who asked has gone, nobody is left to hear of it.

    async def _compute(self, entry: _Entry, version: FiguresVersion, compute: Compute) -> pl.DataFrame:
        answer = await compute()
        try:
            is_of_version = await self.read_model.version() == version
        except EventStoreError:
            return answer
        # Otherwise it holds something of what was counted meanwhile, and nobody knows how much.
        if is_of_version and answer.estimated_size() <= MOST_UNPACKED_BYTES:
            # A frame that is written belongs to its thread; who reads the same one meanwhile would wait for ever.
            self.cache.put(entry.key, rank_of(version), partial(entry.sealed, answer.clone()))
        return answer


@dataclass(frozen=True, slots=True)
class _Entry:
    """The place of one answer at one version."""

    signing_key: bytes
    key: str
    tag: bytes

    def sealed(self, answer: pl.DataFrame) -> bytes | None:
        """None where that is more than a cache is asked to keep."""
        stream = io.BytesIO()
        answer.write_ipc_stream(stream, compression="lz4")
        content = self.tag + stream.getvalue()
        return self._seal(content) + content if len(content) <= MOST_BYTES else None

    def opened(self, found: bytes) -> pl.DataFrame | None:
        """The answer; None where it is of another version. Raises NotOurs."""
        (seal, content) = (found[:SEAL_BYTES], found[SEAL_BYTES:])
        if not hmac.compare_digest(seal, self._seal(content)):
            raise NotOurs(self.key)
        if content[:TAG_BYTES] != self.tag:
            return None
        return pl.read_ipc_stream(content[TAG_BYTES:])

    def _seal(self, content: bytes) -> bytes:
        return _signed(self.signing_key, b"entry", self.key.encode() + content)


def tag_of(version: FiguresVersion) -> bytes:
    return blake2b(msgspec.msgpack.encode(version), digest_size=TAG_BYTES).digest()


def rank_of(version: FiguresVersion) -> int:
    """Higher for a newer version: after a switch first, whichever generation serves, then with each record counted."""
    return version.served_at_us << 64 | version.offset


def _signed(signing_key: bytes, purpose: bytes, content: bytes) -> bytes:
    return blake2b(content, key=signing_key, person=purpose, digest_size=SEAL_BYTES).digest()
