"""The event explorer: every record of the log, found by any id it names, by type, by place and by time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from backoffice.event_search import EVENTS, Wanted, wanted_record
from backoffice.instants import instant_or_none
from backoffice.places import onward_text, partition_named
from backoffice.recorded import records_found
from projections.periods import ALL_TIME, ALWAYS, whole, zone_named

from .frame import Page, Sources
from .selection import Selection

RECORDS_A_PAGE = 50


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    wanted = _wanted(selection)
    (history, below) = (sources.explainer.history, selection.more.get("below"))
    (records, found) = await records_found(history, sources.pipeline.read_model, wanted, RECORDS_A_PAGE, below)
    return {
        "records": records,
        "events": EVENTS,
        "topics": sorted(await history.log.topics()),
        "wanted": wanted,
        "onward": selection.link(below=onward_text(found.onward)) if found.onward else None,
        "newest": selection.link(below=None) if below else None,
        "searched": found.searched,
        "back_to": instant_or_none(found.back_to_us),
    }


def _wanted(selection: Selection) -> Wanted:
    chosen = selection.more
    (event, topic, partition) = (chosen.get("event"), chosen.get("topic"), chosen.get("partition"))
    number = None if partition is None else partition_named(partition)
    return wanted_record(chosen.get("q", "").strip(), event, topic, number, _times(selection))


def _times(selection: Selection) -> tuple[str, str] | None:
    asked = selection.asked
    if asked == ALWAYS:
        return None
    reach = ALL_TIME if asked.last else (ALL_TIME[0], selection.extent[1])
    periods = whole(zone_named(selection.tz), reach, asked)
    if not periods:
        return "", ""
    return _text_of(periods[0].start), _text_of(periods[-1].end) if asked.last else "9999"


def _text_of(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"


EXPLORER = Page(
    "/events",
    "Events",
    "events.html",
    _fill,
    choices=("q", "event", "topic", "partition", "below"),
    comparable=False,
    preset="all",
    shows_figures=False,
)
