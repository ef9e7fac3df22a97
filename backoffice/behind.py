"""The events behind a figure, a page of them at a time: what the page and the API ask of the explainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from event_store.buckets import BUCKET_S
from projections.explain import Explainer
from projections.explained import Asked, Contribution, Explanation
from projections.figures import PERIODS, SumTooLarge
from projections.periods import ALL_TIME, QuestionError, Range, whole, zone_named
from projections.read_model import Period

EVENTS_A_PAGE = 100


class NoSuchStep(QuestionError):
    """A step of a range is written as figures by that interval name it."""


class BadMoment(QuestionError):
    """Figures are kept in quarters of an hour, and so a range ends with one."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:32]!r} begins no quarter of an hour; write it as 2011-03-27T14:15+01:00")


@dataclass(frozen=True, slots=True)
class FigureAsked:
    """A figure as the URL names it."""

    metric: str
    tz: str
    days: Range
    step: tuple[str, str] | None = None
    """A part of those days: its kind, as `hour`, and its name, as `2011-03-27T14:00+01:00`."""
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


def step_named(kind: str, name: str | None) -> tuple[str, str] | None:
    """None where none is named. Raises NoSuchStep."""
    if kind not in PERIODS:
        raise NoSuchStep(f"there is no interval {kind[:32]!r}; there are {', '.join(PERIODS)}")
    return (kind, name) if name else None


def bucket_named(text: str) -> int:
    """The beginning of a quarter of an hour, as `2011-03-27T14:15+01:00`. Raises BadMoment."""
    try:
        moment = datetime.fromisoformat(text)
        second = moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise BadMoment(text) from error
    if moment.tzinfo is None or second % BUCKET_S or not ALL_TIME[0] <= second <= ALL_TIME[1] + BUCKET_S:
        raise BadMoment(text)
    return int(second)


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
    if extent is None:
        return []
    zone = zone_named(asked.tz)
    if asked.step is None:
        return whole(zone, extent, asked.days)
    (kind, name) = asked.step
    # Days that are asked for may have no figures; without them there is nothing beyond the figures to look at.
    reach = (ALL_TIME[0] if asked.days.first else extent[0], ALL_TIME[1] if asked.days.last else extent[1])
    found = [one for one in PERIODS[kind](zone, reach, asked.days) if one.label == name]
    if not found:
        raise NoSuchStep(f"there is no {kind} {name[:40]!r} in these days")
    return [Period("", one.start, one.end) for one in found]
