"""The events behind a figure, a page of them at a time: what the page and the API ask of the explainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.explain import Explainer
from projections.explained import Asked, Contribution, Explanation
from projections.figures import SumTooLarge
from projections.periods import QuestionError, Range, hours, whole, zone_named
from projections.read_model import Period

EVENTS_A_PAGE = 100


class NotThatHour(QuestionError):
    """An hour is written as figures by hour name it."""


@dataclass(frozen=True, slots=True)
class FigureAsked:
    """A figure as the URL names it."""

    metric: str
    tz: str
    days: Range
    hour: str | None = None
    """`2011-03-27T14:00+01:00`, an hour of those days."""
    product_id: str | None = None
    """None is all products."""
    currency: str | None = None
    """None is each."""


@dataclass(frozen=True, slots=True)
class EventsBehind:
    """A stretch of the events of one figure."""

    explanation: Explanation
    contributions: Sequence[Contribution]
    first: int
    """The number of the first of them, from 0."""


async def events_behind(
    explainer: Explainer, asked: FigureAsked, first: int = 0, most: int = EVENTS_A_PAGE
) -> Sequence[EventsBehind]:
    """One per currency. Raises QuestionError."""
    products = None if asked.product_id is None else [asked.product_id]
    try:
        explained = await explainer.explain(Asked(asked.metric, await _periods(explainer, asked), products))
    except OverflowError as error:
        raise SumTooLarge(f"{error}: ask for a shorter time") from error
    return [
        EventsBehind(one, await explainer.contributions(one, first, most), first)
        for one in explained
        if asked.currency in (None, one.currency)
    ]


async def _periods(explainer: Explainer, asked: FigureAsked) -> list[Period]:
    extent = await explainer.read_model.extent(await explainer.read_model.serving())
    zone = zone_named(asked.tz)
    if asked.hour is None:
        return [] if extent is None else whole(zone, extent, asked.days)
    found = [one for one in hours(zone, extent, asked.days) if one.label == asked.hour] if extent else []
    if not found:
        raise NotThatHour(
            f"there is no hour {asked.hour[:40]!r} with figures in these days; write 2011-03-27T14:00+01:00"
        )
    return [Period("", one.start, one.end) for one in found]
