"""The visits before the demo's past orders, which its invoices don't tell of: made up, but the same every time.

They are handed in as another service would, through the intake of events, under ids made of the invoice's number:
the intake knows them again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from event_store.events import EVENT_TYPES, LikeChanged, Payload, ProductView

from .crew import Crew, Phase
from .online_retail import CURRENCY, Invoice

SOURCE = "/countinghouse/demo/visits"
MOST_EVENTS = 500
"""The most that one call of the intake takes."""
VIEWS_OF_LINE = (1, 2, 2, 3, 4)
LIKES_OF_VIEW = 0.04
LONGEST_THOUGHT_S = 5400

_TYPES = {kind.payload: kind.type for kind in EVENT_TYPES}


class Visit(msgspec.Struct, frozen=True):
    """A CloudEvent of somebody who looked at a product or liked it."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    data: Payload


@dataclass(slots=True)
class PastVisits:
    """How many were made up."""

    views: int = 0
    likes: int = 0

    def count(self, visits: Sequence[Visit]) -> None:
        likes = sum(isinstance(visit.data, LikeChanged) for visit in visits)
        self.likes += likes
        self.views += len(visits) - likes


async def send_past_visits(invoices: Sequence[Invoice], crew: Crew) -> PastVisits:
    """Raises ApiSilent."""
    past = PastVisits()

    async def hand_in(visits: list[Visit]) -> bool:
        answer = await crew.caller.call("POST", "/v1/events", visits)
        if answer.is_success:
            past.count(visits)
        return answer.is_success

    visits = [visit for invoice in invoices if not invoice.is_refund for visit in visits_before(invoice)]
    batches = [visits[start : start + MOST_EVENTS] for start in range(0, len(visits), MOST_EVENTS)]
    await crew.each(Phase.VISITS, batches, hand_in)
    return past


def visits_before(invoice: Invoice) -> Iterator[Visit]:
    """Of every product that was bought, some views in the hour and a half before, and now and then a like."""
    chance = random.Random(invoice.number)
    for number, product_id in enumerate(dict.fromkeys(line.product_id for line in invoice.lines)):
        for look in range(chance.choice(VIEWS_OF_LINE)):
            at = invoice.at - timedelta(seconds=chance.randrange(LONGEST_THOUGHT_S))
            visitor_id = f"visitor-{chance.randrange(20_000)}"
            event_id = f"{invoice.number}-{number}-{look}"
            yield _visit(event_id, at, ProductView(product_id, visitor_id, CURRENCY))
            if chance.random() < LIKES_OF_VIEW:
                yield _visit(f"{event_id}-like", at, LikeChanged(product_id, visitor_id, CURRENCY, 1))


def _visit(event_id: str, at: datetime, data: Payload) -> Visit:
    return Visit("1.0", event_id, SOURCE, _TYPES[type(data)], at, data)
