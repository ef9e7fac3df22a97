"""`countinghouse explain`: the events behind one figure, and their sum beside the figure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from backoffice.settings import Settings
from backoffice.stores import Stores
from projections.catalogue import FIGURES
from projections.explain import Explainer
from projections.explained import Asked, Contribution, Explanation
from projections.periods import ALL_TIME, Range, day_named, whole, zone_named

Found = Sequence[tuple[Explanation, Sequence[Contribution]]]
"""One per currency, with all of its events."""


async def explanations(settings: Settings, product_id: str, day: str, metric: str, tz: str) -> Found:
    """None where nothing happened. Raises QuestionError for a day, a zone, or a metric that events don't add up to."""
    on = day_named(day)
    asked = Asked(metric, whole(zone_named(tz), ALL_TIME, Range(on, on)), [product_id])
    async with Stores(settings) as stores:
        explainer = Explainer(stores.read_model(), stores.history(), FIGURES)
        return [(one, await explainer.contributions(one)) for one in await explainer.explain(asked)]


def print_explanations(console: Console, product_id: str, found: Found) -> None:
    if not found:
        console.print("No event contributed, and there is no figure.")
    for one, contributions in found:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for title in ("topic", "partition", "offset", "id", "event", "time", "contribution"):
            table.add_column(title, justify="right" if title in {"partition", "offset", "contribution"} else "left")
        for part in contributions:
            place = (part.tp.topic, str(part.tp.partition), str(part.offset))
            table.add_row(*place, part.event_id, part.event, part.time, str(part.contribution))
        console.print(table)
        verdict = "equal" if one.adds_up else "NOT EQUAL: run `countinghouse rebuild`, which names every difference"
        console.print(
            f"{one.metric.name} of {product_id} in {one.currency}: {one.events} events add up to "
            f"{one.total}, the figure is {one.figure}: {verdict}.",
            markup=False,
            soft_wrap=True,
        )


def explanations_json(product_id: str, found: Found) -> str:
    return json.dumps(
        [
            {
                "product_id": product_id,
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
                    for part in contributions
                ],
            }
            for one, contributions in found
        ],
        indent=2,
        ensure_ascii=False,
    )
