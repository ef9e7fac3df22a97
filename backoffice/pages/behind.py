"""The events behind a number: each with its place in the log and what it adds, and their sum beside the number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backoffice.behind import EVENTS_A_PAGE, EventsBehind, FigureAsked, bucket_named, events_behind
from projections.figures import metric_named
from projections.metric import Metric, Ratio, Unit
from projections.returns import RETURNS

from .frame import Page, Sources
from .paging import Pager, page_number, pager_of
from .selection import PARTS, Selection
from .shown import text_of


@dataclass(frozen=True, slots=True)
class Told:
    """One currency's number, and a page of its events."""

    currency: str
    figure: str
    total: str
    equal: bool
    events: int
    rows: list[dict[str, Any]]
    pager: Pager


async def _fill(sources: Sources, selection: Selection) -> Mapping[str, Any]:
    chosen = selection.more
    metric = metric_named(chosen.get("metric", "gross_minor"))
    days = replace(selection.asked, before=bucket_named(chosen["until"]) if "until" in chosen else None)
    filled = {
        "title": f"Behind {metric.title.lower()}",
        "metric": metric,
        "by_sale": metric.name in RETURNS.by_sale,
        "product_id": chosen.get("id"),
        "until": None if days.before is None else f"{selection.now.at(days.before):%H:%M}",
    }
    if isinstance(metric, Ratio) and metric.unit is Unit.RATIO:
        return {
            **filled,
            "told": [],
            "together": "",
            "parts": [metric_named(name) for name in metric.expression.meta.root_names()],
        }
    step = (selection.interval, chosen["at"]) if "at" in chosen else None
    asked = FigureAsked(metric.name, selection.tz, days, step, chosen.get("id"), chosen.get("currency"))
    first = (page_number(chosen.get("page", "1")) - 1) * EVENTS_A_PAGE
    found = await events_behind(sources.explainer, asked, first)
    told = [_told(metric, one, selection) for one in found]
    return {**filled, "told": told, "together": _together(metric, found), "parts": []}


def _together(metric: Metric | Ratio, found: Sequence[EventsBehind]) -> str:
    """A count is one number over all currencies; amounts of several have no sum."""
    if metric.unit is Unit.MONEY or len(found) < 2:
        return ""
    return text_of(metric, sum(one.explanation.figure for one in found), "")


def _told(metric: Metric | Ratio, one: EventsBehind, selection: Selection) -> Told:
    explained = one.explanation

    def text(value: int) -> str:
        return text_of(metric, value, explained.currency)

    return Told(
        explained.currency,
        text(explained.figure),
        text(explained.total),
        explained.adds_up,
        explained.events,
        [
            {
                "time": part.time,
                "event": part.event,
                "event_id": part.event_id,
                "topic": part.tp.topic,
                "partition": part.tp.partition,
                "offset": part.offset,
                "contribution": text(part.contribution),
                "negative": part.contribution < 0,
            }
            for part in one.contributions
        ],
        pager_of(selection, one.first, len(one.contributions), explained.events, EVENTS_A_PAGE),
    )


BEHIND = Page(
    "/behind",
    "Behind a number",
    "behind.html",
    _fill,
    choices=("metric", "id", "currency", *PARTS, "page"),
    comparable=False,
    preset="all",
    under="/",
)
