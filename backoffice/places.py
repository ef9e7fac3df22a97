"""Places in the log, as URLs name them."""

from __future__ import annotations

from collections.abc import Mapping

from event_store.record import TopicPartition
from projections.periods import QuestionError

from .whole_number import whole_number

MOST_PARTITIONS = 1000


class UnreadablePlace(QuestionError):
    """A place in the log is a topic, a partition and an offset."""


class UnknownPartition(QuestionError):
    """Partitions are numbered from 0."""


class BadPlace(QuestionError):
    """Where a search goes on is what the answer before said."""


def place_named(chosen: Mapping[str, str]) -> tuple[TopicPartition, int]:
    """Raises UnreadablePlace."""
    trouble = UnreadablePlace(
        "a record is named by its topic, partition and offset: ?topic=order-events&partition=0&offset=0"
    )
    return _place(trouble, *(chosen.get(name, "") for name in ("topic", "partition", "offset")))


def partition_named(text: str) -> int:
    """Raises UnknownPartition."""
    return _number(text, UnknownPartition(f"no partition {text[:32]!r}; partitions are numbered from 0"))


def onward_text(onward: Mapping[TopicPartition, int]) -> str:
    """`order-events:0:1234,…`, for a URL."""
    return ",".join(f"{tp.topic}:{tp.partition}:{end}" for tp, end in sorted(onward.items()))


def onward_named(text: str) -> dict[TopicPartition, int]:
    """Raises BadPlace."""
    trouble = BadPlace(f"{text[:48]!r} is no place to go on from; begin the search again")
    parts = text.split(",", MOST_PARTITIONS)
    if len(parts) > MOST_PARTITIONS:
        raise trouble
    return dict(_place(trouble, *[*part.split(":"), "", ""][:3]) for part in parts)


def _place(trouble: QuestionError, topic: str, partition: str, offset: str) -> tuple[TopicPartition, int]:
    if not topic:
        raise trouble
    return TopicPartition(topic, _number(partition, trouble)), _number(offset, trouble)


def _number(text: str, trouble: QuestionError) -> int:
    return whole_number(text, 18, trouble)
