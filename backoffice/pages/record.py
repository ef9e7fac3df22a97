"""One record of the log: where it stands, what it says, and what it adds to which figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backoffice.money import money
from backoffice.recorded import recorded_at
from event_store.record import TopicPartition
from projections.periods import QuestionError

from .frame import Page, Sources
from .selection import Selection


class UnreadablePlace(QuestionError):
    """A place in the log is a topic, a partition and an offset."""


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    (tp, offset) = place_named(selection.more)
    record = await recorded_at(sources.explainer.history, sources.pipeline.read_model, tp, offset)
    additions = [
        (one.product_id, one.title, money(one.value, one.currency) if one.is_money else f"{one.value:,}", one.value < 0)
        for one in record.additions
    ]
    return {"title": f"Record {tp}, offset {offset:,}", "record": record, "additions": additions, "picker": False}


def place_named(chosen: Mapping[str, str]) -> tuple[TopicPartition, int]:
    """Raises UnreadablePlace."""
    (partition, offset) = (chosen.get("partition", ""), chosen.get("offset", ""))
    if not (chosen.get("topic") and is_number(partition) and is_number(offset)):
        raise UnreadablePlace(
            "a record is named by its topic, partition and offset: ?topic=order-events&partition=0&offset=0"
        )
    return TopicPartition(chosen["topic"], int(partition)), int(offset)


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


RECORD = Page(
    "/record",
    "Record",
    "record.html",
    _fill,
    choices=("topic", "partition", "offset"),
    under="/events",
    shows_figures=False,
)
