"""The outbox port: rows written with their state, and the lanes by which a relay brings them to the log.

A lane is one topic partition as this database writes it. Sequences of a lane are drawn when rows are claimed:
1, 2, 3, … in claim order, stored before the first send. `acknowledged` is one number per lane, and the state of
every row follows from it:

    READY    no sequence yet
    CLAIMED  sequence > acknowledged
    FAILED   the same, and the lane's last attempt failed (its error is kept)
    SENT     sequence <= acknowledged
    DEAD     the log will never take it: moved aside whole, a RecordWithheld event took its sequence

Back ends: `sqlite_outbox`, `postgres_outbox` and `memory_outbox`, one contract suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from .codec import Draft
from .errors import UnknownTopic
from .record import TopicPartition

T = TypeVar("T")
MAX_PASS_ROWS = 2000
"""The most rows of one lane that are on their way together."""


def newest_for(draft: Draft, newest: Mapping[str, T]) -> T:
    """What `newest` has for the draft's topic, of the version that is written to. Raises UnknownTopic for nothing."""
    topic = draft.event_type.topic
    if topic is None or topic.name not in newest:
        raise UnknownTopic(f"the outbox has no lanes for {draft.event_type.name}, only for {', '.join(newest)}")
    return newest[topic.name]


def lease_of(tp: TopicPartition) -> str:
    """The name of a lane's lease; `outbox_statements` makes it, too."""
    return f"lane/{tp}"


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane whose lease the relay holds, as it stands in the database."""

    tp: TopicPartition
    source: str
    epoch: int
    next_sequence: int
    acknowledged: int
    acknowledged_offset: int
    """The log's offset of the record with sequence `acknowledged`; -1 before the first."""
    retry_in_s: float
    """How long the lane still waits after a failed attempt; 0 when it may be sent."""
    failures: int
    """Failed attempts since the last success."""


class ClaimedRow(NamedTuple):
    sequence: int
    event_id: str
    key: str
    payload: bytes
    """The envelope less its place in the lane."""


@dataclass(frozen=True, slots=True)
class ClaimedRows:
    """What a lane sends next: all rows from `acknowledged + 1` on without a gap, oldest first."""

    lane: Lane
    rows: Sequence[ClaimedRow]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    lane: Lane
    sequence: int
    """Every row of the lane up to this one is in the log."""
    offset: int
    """The log's offset of that last one."""


@dataclass(frozen=True, slots=True)
class DeadRow:
    """A row the log refused for good."""

    id: int
    tp: TopicPartition
    sequence: int
    event_id: str
    key: str
    payload: bytes
    reason: str
    died_at_us: int
    redriven_at_us: int | None


@dataclass(frozen=True, slots=True)
class LaneStatus:
    tp: TopicPartition
    source: str
    ready: int
    claimed: int
    failed: int
    sent: int
    """Rows ever sent in this lane: `acknowledged`, cleaned-up rows included."""
    dead: int
    """Dead rows that nobody has re-driven."""
    oldest_waiting_us: int | None
    """When the oldest unsent row was recorded."""
    failures: int
    error: str | None
    owner: str | None


class Outbox(Protocol):
    """The relay's side. Writers use the back end's own `write` inside their transaction."""

    async def source(self) -> str: ...

    async def write_once(self, draft: Draft) -> bool:
        """Writes a row for who has no other state here, unless this ever wrote one of that event id: then False.

        It is remembered for good, as rows are not, so whoever doesn't know what became of a call calls again.
        """
        ...

    async def hold_lanes(self, owner: str, ttl_s: float) -> Sequence[Lane]:
        """Takes or renews the leases of all lanes it can and returns the lanes it then holds."""
        ...

    async def take_over(self, owner: str) -> None:
        """Ends what an earlier process of this name held, so that this one need not wait for expiry."""
        ...

    async def release(self, owner: str) -> None: ...

    async def claim(self, lanes: Sequence[Lane], most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRows]:
        """Draws sequences for waiting rows and returns, for each lane with anything unacknowledged, its next rows.

        Each lane comes back as it was given: only `hold_lanes` looks at what others know of it.
        Lanes whose lease has another epoch by now, or whose source has a new incarnation, are left out.
        """
        ...

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Moves each lane forward, in one transaction; a lane whose lease was lost is left as it is."""
        ...

    async def advance(self, done: Acknowledgement, most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRow]:
        """Acknowledges, and claims the lane's next rows, in one transaction; none where the lane was lost."""
        ...

    async def note_failure(self, lane: Lane, error: str, retry_in_s: float) -> None: ...

    async def bury(self, lane: Lane, sequence: int, reason: str, withheld: Draft) -> None:
        """Moves the row aside as dead and puts `withheld` in its place, with its sequence.

        Does nothing where it was acknowledged meanwhile, or the lane lost.
        """
        ...

    async def add_topic(self, topic: str, partitions: int) -> None:
        """Makes the lanes of another version of a topic where they are missing.

        Rows that are written from then on go to the newest version that has lanes; those of older ones are sent as
        before. A writer whose transaction is under way may still write to the version that was newest.
        """
        ...

    async def rows_between(self, lane: Lane, first: int, last: int) -> Sequence[tuple[int, str]]:
        """(sequence, event id) of the claimed rows first…last, to compare with what the log shows."""
        ...

    async def dead(self) -> Sequence[DeadRow]: ...

    async def redrive(self, ids: Sequence[int]) -> int:
        """Writes a new row for each dead row not re-driven before; returns how many."""
        ...

    async def clean(self, keep_s: float, most: int = 1000) -> int:
        """Deletes at most `most` sent rows recorded longer than `keep_s` ago; returns how many."""
        ...

    async def lanes(self) -> Sequence[LaneStatus]: ...

    async def unsent_ids(self) -> Sequence[tuple[TopicPartition, str]]:
        """(lane, event id) of every row this database believes unsent."""
        ...

    async def reincarnate(self, already_sent: Sequence[str]) -> str:
        """Begins a new incarnation of the source: rows in `already_sent` are done, the rest will be sent from

        sequence 1 of new lanes. Returns the new source.
        """
        ...

    async def wait_for_news(self, timeout_s: float) -> bool:
        """As `Log.wait_for_news`, for rows written by anybody."""
        ...

    async def close(self) -> None: ...
