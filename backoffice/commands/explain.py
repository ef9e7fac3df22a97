"""`countinghouse explain`: the events behind one figure, and their sum beside the figure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.buckets import BUCKET_S
from projections.catalogue import FIGURES, METRICS
from projections.explain import Explainer, Explanation
from projections.figures import UnknownMetric
from projections.periods import Range, day_named, days, zone_named

ALL_TIME = (0, 2**35 - BUCKET_S)
"""Buckets, in seconds since 1970 UTC: the asked day alone bounds what is looked at."""


async def explanations(settings: Settings, product_id: str, day: str, metric: str, tz: str) -> Sequence[Explanation]:
    """One per currency; none where nothing happened.

    Raises QuestionError for a day, a zone, or a metric that events don't add up to.
    """
    asked = day_named(day)
    if metric not in {one.name for one in METRICS}:
        known = ", ".join(one.name for one in METRICS)
        raise UnknownMetric(f"{metric[:32]!r} is no figure that events add up to; use {known}")
    async with Stores(settings) as stores:
        explainer = Explainer(stores.read_model(), stores.history(), FIGURES)
        return [
            one
            for period in days(zone_named(tz), ALL_TIME, Range(asked, asked))
            for one in await explainer.explain(product_id, metric, period)
        ]


def print_explanations(console: Console, found: Sequence[Explanation]) -> None:
    if not found:
        console.print("No event contributed, and there is no figure.")
    for one in found:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for title in ("topic", "partition", "offset", "id", "event", "time", "contribution"):
            table.add_column(title, justify="right" if title in {"partition", "offset", "contribution"} else "left")
        for part in one.contributions:
            place = (part.tp.topic, str(part.tp.partition), str(part.offset))
            table.add_row(*place, part.event_id, part.event, part.time, str(part.contribution))
        console.print(table)
        verdict = "equal" if one.adds_up else "NOT EQUAL: run `countinghouse rebuild`, which names every difference"
        console.print(
            f"{one.metric.name} of {one.product_id} in {one.currency}: {len(one.contributions)} events add up to "
            f"{one.total}, the figure is {one.figure}: {verdict}.",
            markup=False,
            soft_wrap=True,
        )


def explanations_json(found: Sequence[Explanation]) -> str:
    return json.dumps(
        [
            {
                "product_id": one.product_id,
                "metric": one.metric.name,
                "currency": one.currency,
                "figure": one.figure,
                "sum": one.total,
                "equal": one.adds_up,
                "events": [
                    {
                        "topic": part.tp.topic,
                        "partition": part.tp.partition,
                        "offset": part.offset,
                        "id": part.event_id,
                        "event": part.event,
                        "time": part.time,
                        "contribution": part.contribution,
                    }
                    for part in one.contributions
                ],
            }
            for one in found
        ],
        indent=2,
        ensure_ascii=False,
    )
