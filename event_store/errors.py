"""Every error of the event store, in one tree.

Transient errors are retried for ever and lose nothing; permanent ones are shown to somebody; a stop
says that going on would make a figure wrong, and names what to run.

    EventStoreError
    ├── TransientError            the same call may succeed later
    │   ├── StorageUnavailable
    │   └── LogUnavailable
    ├── PermanentError            the same input will fail again
    │   ├── UndecodableRecord
    │   ├── RecordRefused
    │   ├── UnknownTopic
    │   └── TopicMismatch
    ├── Conflict                  somebody else moved first: read again, then decide
    │   ├── PositionMoved
    │   ├── GenerationChanged
    │   ├── ForeignIdTaken
    │   └── LeaseLost
    └── Stop                      refuse to go on, and say why
        ├── HistoryLost
        ├── LogChanged
        ├── LogUnusable
        ├── LaneAhead
        ├── TooManyDeadLetters
        ├── TargetDiffers
        └── StorageUnusable
"""

from __future__ import annotations


class EventStoreError(Exception):
    """Something in the event store failed."""


class TransientError(EventStoreError):
    """The call failed and may succeed when repeated unchanged."""


class StorageUnavailable(TransientError):
    """A database was busy, full or out of reach; nothing of the call was kept, or its outcome is unknown."""


class LogUnavailable(TransientError):
    """The log did not confirm; the records may or may not be in it, so the same ones go again."""


class PermanentError(EventStoreError):
    """The call will fail again for the same input."""


class UndecodableRecord(PermanentError):
    """A record can't be read as one of our events. `reason` is a stable upper-case word, the message a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RecordRefused(PermanentError):
    """The log will never take the record at `index` of the call; nothing of the call was appended."""

    def __init__(self, index: int, detail: str) -> None:
        super().__init__(detail)
        self.index = index


class UnknownTopic(PermanentError):
    """The log has no such topic."""


class TopicMismatch(PermanentError):
    """The topic exists with another number of partitions; partitions can't be taken away or moved."""


class Conflict(EventStoreError):
    """Another owner acted first; nothing was written."""


class PositionMoved(Conflict):
    """The stored position is not the first offset of this batch. `next_offset` is what is stored."""

    def __init__(self, next_offset: int) -> None:
        super().__init__(f"the stored position is {next_offset}")
        self.next_offset = next_offset


class GenerationChanged(Conflict):
    """The batch was folded for a generation that takes no more batches of this kind."""


class ForeignIdTaken(Conflict):
    """A record without a sequence was handled by somebody else since this batch was read."""


class LeaseLost(Conflict):
    """The lease has another epoch now; nothing was written in its name."""


class Stop(EventStoreError):
    """Going on would make figures wrong. The message says where, why and what to run."""


class HistoryLost(Stop):
    """The log no longer has, or doesn't yet have, the offset that comes next."""


class LogChanged(Stop):
    """The last applied record is not in the log as it was applied: the topic was recreated or rewritten."""


class LogUnusable(Stop):
    """The log can't be worked with as it is set up: its address, credentials, version, rights or topics."""


class LaneAhead(Stop):
    """The log holds sequences of this source that its database never drew: the database is an older copy."""


class TooManyDeadLetters(Stop):
    """So many records can't be read that the fault is more likely ours than theirs."""


class TargetDiffers(Stop):
    """What is to be filled with a copy holds something else."""


class StorageUnusable(Stop):
    """A database file is missing a part, read-only or damaged."""
