"""One record of the log: where it stands, what it says, and what it adds to which figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backoffice.places import place_named
from backoffice.recorded import recorded_at

from .frame import Page, Sources
from .selection import Selection


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    (tp, offset) = place_named(selection.more)
    record = await recorded_at(sources.explainer.history, sources.pipeline.read_model, tp, offset)
    return {"title": f"Record {tp}, offset {offset:,}", "record": record, "picker": False}


RECORD = Page(
    "/record",
    "Record",
    "record.html",
    _fill,
    choices=("topic", "partition", "offset"),
    under="/events",
    shows_figures=False,
)
