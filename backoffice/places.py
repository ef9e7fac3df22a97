"""Places in the log, as URLs name them."""

from __future__ import annotations

from collections.abc import Mapping

from event_store.record import TopicPartition
from projections.periods import QuestionError

from .whole_number import whole_number

MOST_PARTITIONS = 1000
MOST_DIGITS = 18


class UnreadablePlace(QuestionError):
    """A place in the log is a topic, a partition and an offset."""


class UnknownPartition(QuestionError):
    """Partitions are numbered from 0."""


class BadPlace(QuestionError):
    """Where a search goes on is what the answer before said."""


def place_named(chosen: Mapping[str, str]) -> tuple[TopicPartition, int]:
    """Raises UnreadablePlace."""
    place = _place(chosen.get("topic", ""), chosen.get("partition", ""), chosen.get("offset", ""))
    if place is None:
        raise UnreadablePlace(
            "a record is named by its topic, partition and offset: ?topic=order-events&partition=0&offset=0"
        )
    return place


def partition_named(text: str) -> int:
    """Raises UnknownPartition."""
    number = whole_number(text, MOST_DIGITS)
    if number is None:
        raise UnknownPartition(f"no partition {text[:32]!r}; partitions are numbered from 0")
    return number


def onward_text(onward: Mapping[TopicPartition, int]) -> str:
    """`order-events:0:1234,…`, for a URL."""
    return ",".join(f"{tp.topic}:{tp.partition}:{end}" for tp, end in sorted(onward.items()))


def onward_named(text: str) -> dict[TopicPartition, int]:
    """Raises BadPlace."""
    parts = text.split(",", MOST_PARTITIONS)
    places = [_place(*[*part.split(":"), "", ""][:3]) for part in parts]
    if len(parts) > MOST_PARTITIONS or None in places:
        raise BadPlace(f"{text[:48]!r} is no place to go on from; begin the search again")
    return dict(filter(None, places))


def _place(topic: str, partition: str, offset: str) -> tuple[TopicPartition, int] | None:
    (number, at) = (whole_number(partition, MOST_DIGITS), whole_number(offset, MOST_DIGITS))
    return (TopicPartition(topic, number), at) if topic and number is not None and at is not None else None
