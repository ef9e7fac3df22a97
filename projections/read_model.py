"""The read model port: generations of figures, each with its rows, its inbox and its state.

Back ends: `sqlite_read_model`, `postgres_read_model` and `memory_read_model`, one contract suite. A batch is one
`commit`: all of it or nothing. Readers see one generation per answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import polars as pl

from event_store.dead_letters import DeadLetter
from event_store.errors import GenerationChanged
from event_store.handled import HandledRanges, Range, holes
from event_store.inbox import InboxEntry, Position
from event_store.record import TopicPartition

from .letters import Letters

if TYPE_CHECKING:
    from .figures import Question

Increments = Mapping[str, pl.DataFrame]
"""Projection name → rows to merge, one per key, in key order."""


class State(StrEnum):
    BUILDING = "building"
    SERVING = "serving"
    RETIRED = "retired"
    """Served before, kept for rollback."""
    ABANDONED = "abandoned"
    """Never served: its rebuild died or was refused."""


def check_takes(generation: int, state: State | None, *, serving: bool) -> None:
    """Raises GenerationChanged unless the generation takes a batch that was made for it `serving` or not.

    None stands for a generation that is not there.
    """
    taken = state is State.SERVING if serving else state in (State.BUILDING, State.RETIRED)
    if not taken:
        believed = "serving" if serving else "not serving"
        raise GenerationChanged(f"generation {generation} is {state or 'gone'}, the batch was made for it {believed}")


def check_can_serve(generation: int, state: State | None, behind: TopicPartition | None) -> None:
    """Raises GenerationChanged unless it may replace the serving one, than which it is behind in partition `behind`."""
    if state not in (State.BUILDING, State.RETIRED):
        raise GenerationChanged(f"generation {generation} is {state or 'unknown'} and can't begin to serve")
    if behind is not None:
        raise GenerationChanged(f"generation {generation} is behind the serving one in {behind}: catch up, then switch")


@dataclass(frozen=True, slots=True)
class Generation:
    number: int
    state: State
    created_at_us: int
    served_at_us: int | None
    """When it last began to serve."""
    note: str
    """Why it was built or switched to, in the operator's words."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Everything that one batch changes, or several batches of different partitions that are counted together."""

    entries: Sequence[InboxEntry]
    """One per batch, all of one generation."""
    increments: Increments
    """Of all batches together."""

    @property
    def generation(self) -> int:
        return self.entries[0].generation


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """Where a generation stands in a partition, for status pages."""

    tp: TopicPartition
    next_offset: int
    last_appended_at_us: int | None
    """The log's time of the last counted record."""
    counted_at_us: int | None
    """When it was counted, by the database's clock."""
    duplicates: int
    """Records dropped because their event was counted before."""
    dead: int
    holes: Mapping[str, Sequence[Range]]
    """Source → sequences the log has not shown below the highest it has."""
    stopped: str | None = None
    """Why the partition is stopped, in the words shown to an operator; None while it is counted."""
    undecided: int = 0
    """Of the dead letters, those about which nobody has decided."""


def progress_of(row: Iterable[Any], handled: Mapping[str, HandledRanges]) -> PartitionProgress:
    """From a row of an inbox's SELECT_PROGRESS, and what was handled in its partition by source."""
    (topic, number, next_offset, appended_at_us, counted_at_us, duplicates, dead, stopped, undecided) = row
    tp = TopicPartition(topic, number)
    (at, seen) = ((appended_at_us, counted_at_us), holes(handled))
    return PartitionProgress(tp, next_offset, *at, duplicates, dead, seen, stopped, undecided)


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open range of buckets, [start, end), in seconds since 1970 UTC."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FiguresVersion:
    """What the serving figures are made of. Equal versions of one database mean equal figures.

    Figures change in a commit, which moves a position, or where another generation begins to serve.
    """

    generation: int
    served_at_us: int
    """When it began to serve: a rollback makes an older generation the newer version."""
    positions: tuple[tuple[TopicPartition, int, int | None], ...]
    """(partition, next offset, fingerprint of the last record), of the partitions that were counted, sorted."""

    @property
    def offset(self) -> int:
        """Records counted, over all partitions."""
        return sum(next_offset for _, next_offset, _ in self.positions)


VersionRow: TypeAlias = tuple[Any, ...]
"""(generation, when it began to serve, topic, number, next offset, fingerprint): one for each partition that was

counted, or one with None in the place of the last four.
"""


SELECT_VERSION = """
SELECT g.number, g.served_at_us, p.topic, p.number, p.next_offset, p.last_fingerprint
FROM generation AS g LEFT JOIN inbox_position AS p ON p.generation = g.number AND p.next_offset > 0
WHERE g.state = 'serving' ORDER BY p.topic, p.number
"""


def version_of(rows: Sequence[VersionRow]) -> FiguresVersion:
    """What the rows of a database say, at least one."""
    positions = [(TopicPartition(topic, number), *counted) for _, _, topic, number, *counted in rows if topic]
    return FiguresVersion(rows[0][0], rows[0][1], tuple(sorted(positions)))


@dataclass(frozen=True, slots=True)
class SumsAsked:
    periods: Sequence[Period]
    products: Sequence[str] | None = None
    """None is all of them."""
    by_product: bool = False


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums, and what they are the sums of, as of one moment."""

    rows: Mapping[str, pl.DataFrame]
    """Projection → columns `product_id` (if by product), `period`, `currency`, metrics, sorted by the first ones, which

    are its key. `period` is the label; periods without rows are absent.
    """
    progress: Sequence[PartitionProgress]


class FiguresReader(Protocol):
    """What pages read."""

    async def serving(self) -> int:
        """The generation that readers see. Made at the first call, so there is always one."""
        ...

    async def version(self) -> FiguresVersion:
        """Of the serving generation, as of one moment."""
        ...

    async def extent(self, generation: int) -> tuple[int, int] | None:
        """The first and the last bucket that any figure has; None before the first."""
        ...

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        """The answer of `figures.answer_of`: its extent and all its sums are of one moment.

        Raises OverflowError where a sum does not fit into 64 bits, and QuestionError.
        """
        ...

    async def rows(self, generation: int, projection: str) -> pl.DataFrame:
        """All rows of a projection, sorted by its key."""
        ...


@dataclass(frozen=True, slots=True)
class Changes:
    """What brings figures that somebody keeps to those of `version`."""

    version: FiguresVersion
    days: Sequence[int]
    """The days since 1970, in UTC and ascending, of which figures may have changed, or all that have figures."""
    rows: Mapping[str, pl.DataFrame]
    """Of each projection of figures all that these days have, sorted by its key."""


class ReadModel(FiguresReader, Protocol):
    @property
    def letters(self) -> Letters: ...

    async def changes(self, since: FiguresVersion | None, most_rows: int) -> Changes | None:
        """How the serving figures differ from those of a version, or from none, as of one moment.

        None where these are more than `most_rows` rows, and where it can't be told: another generation began to
        serve, or a version of the program counted that took no note of days.
        """
        ...

    async def sums(self, generation: int, projections: Sequence[str], asked: SumsAsked) -> Sums:
        """Sums of the metrics of figure projections; raises OverflowError where one does not fit into 64 bits."""
        ...

    async def signing_key(self) -> bytes:
        """32 bytes, drawn once for each database, that only who reads it knows: processes sign with them."""
        ...

    async def generations(self) -> Sequence[Generation]: ...

    async def position(self, generation: int, tp: TopicPartition) -> Position: ...

    async def known_ids(self, generation: int, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (source, event id) pairs of foreign records were handled."""
        ...

    async def commit(self, effect: Effect, *, serving: bool) -> None:
        """Applies all of it in one transaction, or nothing.

        `serving` says what the caller believes its generation is; when that has changed it raises
        GenerationChanged. Raises PositionMoved, ForeignIdTaken, OverflowError where a figure would not fit into
        64 bits any more, or StorageUnavailable, whose outcome is unknown.
        """
        ...

    async def note_stop(self, generation: int, tp: TopicPartition, why: str | None) -> None:
        """Keeps, or with None removes, the reason for which a partition is not being counted, for `progress`."""
        ...

    async def progress(self, generation: int) -> Sequence[PartitionProgress]: ...

    async def dead_letters(self, generation: int, most: int = 1000) -> Sequence[DeadLetter]:
        """The newest dead letters first."""
        ...

    async def snapshot(self, generation: int) -> Snapshot:
        """Positions and rows of one moment, for comparing two generations."""
        ...

    async def begin_generation(self, note: str) -> int:
        """A new generation in BUILDING, empty. Abandons (and empties) one that a dead rebuild left behind."""
        ...

    async def switch(self, to: int, note: str) -> None:
        """Makes `to` the serving generation in one transaction, if it is nowhere behind the serving one.

        Raises GenerationChanged where it is behind or no longer there.
        """
        ...

    async def abandon(self, generation: int, note: str) -> None:
        """Ends a generation that isn't serving and deletes its rows."""
        ...

    async def wait_for_news(self, timeout_s: float) -> bool: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    positions: Mapping[TopicPartition, Position]
    rows: Mapping[str, pl.DataFrame]
    dead: frozenset[tuple[TopicPartition, int]]

    @property
    def offsets(self) -> dict[TopicPartition, int]:
        """Where each partition stood."""
        return {tp: one.next_offset for tp, one in self.positions.items()}
