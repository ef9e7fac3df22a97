"""The demo's month: real invoices of February 2011, moved so that they end now.

That February has exactly four weeks, so the month is laid around the last four weeks like a belt: each invoice stands
at its own weekday and time of day (Europe/London), the latest time it could have happened. An invoice is numbered by
the day it was moved to, so a demo that is started again adds only what has passed since, and no figure changes twice.

The rows are of "Online Retail" (UCI, CC BY 4.0; producer_api/data/README.md).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files

from .aiohttp_caller import Caller
from .crew import Crew, Progress, unwatched
from .online_retail import Invoice, Product, RetailFile, read_online_retail
from .online_retail_import import PATIENCE_S
from .online_retail_row import SHOP_ZONE
from .online_retail_sending import Delivery, send
from .past_visits import PastVisits, send_past_visits

FILE = "online-retail-2011-02.csv.xz"
BELT = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class MonthSent:
    """What the shop looks back on."""

    since: datetime
    until: datetime
    delivery: Delivery
    visits: PastVisits

    def describe(self) -> str:
        (since, until) = (moment.astimezone(SHOP_ZONE) for moment in (self.since, self.until))
        sent = self.delivery
        return (
            f"Behind the shop lie four weeks, {since:%d %b %Y} to {until:%d %b %Y %H:%M}: {sent.orders:,} orders and "
            f"{sent.refunds:,} refunds of {sent.products:,} products, real invoices of February 2011 with their dates "
            f"moved (Online Retail, UCI, CC BY 4.0), and {self.visits.views:,} views and {self.visits.likes:,} likes "
            f"made up around them."
        )


async def send_real_month(
    api_url: str,
    *,
    now: datetime,
    connections: int = 16,
    progress: Callable[[Progress], None] = unwatched,
    patience_s: float = PATIENCE_S,
    token: str = "",
) -> MonthSent:
    """Lists the month's products and sends its invoices, and the visits before them, as the past up to `now`.

    Raises ApiSilent and WrongAddress as an import does.
    """
    month = await asyncio.to_thread(read_real_month)
    async with Caller(api_url, connections=connections, patience_s=patience_s, token=token) as caller:
        return await send_month(month, Crew(caller, connections, progress), now)


async def send_month(month: RetailFile, crew: Crew, now: datetime) -> MonthSent:
    """Sends `month` as the four weeks up to `now`."""
    month = moved(month, now)
    delivery = await send(month, crew)
    visits = await send_past_visits(month.invoices, crew)
    return MonthSent(now - BELT, now, delivery, visits)


def read_real_month() -> RetailFile:
    with as_file(files("producer_api") / "data" / FILE) as file:
        return read_online_retail(file)


def moved(month: RetailFile, now: datetime) -> RetailFile:
    """The month with its invoices in the four weeks before `now`, the oldest first."""
    invoices = sorted((moved_invoice(invoice, now) for invoice in month.invoices), key=lambda one: one.at)
    return replace(month, invoices=invoices)


def moved_invoice(invoice: Invoice, now: datetime) -> Invoice:
    """At the latest moment up to `now` that is whole belts from its own by the clock on the shop's wall."""
    at = invoice.at.astimezone(SHOP_ZONE)
    at += (now.astimezone(SHOP_ZONE).date() - at.date()) // BELT * BELT
    if at > now:
        at -= BELT
    return replace(invoice, number=f"{invoice.number}-{at:%Y%m%d}", at=at.astimezone(UTC))


def goods(month: RetailFile, most: int) -> Sequence[Product]:
    """The products that were sold in the most invoices, the most popular first; postage and gifts left out."""
    sold = Counter(
        product_id
        for invoice in month.invoices
        if not invoice.is_refund
        for product_id in {line.product_id for line in invoice.lines}
    )
    listed = {product.product_id: product for product in month.products}
    wares = (listed[product_id] for product_id, _ in sold.most_common() if product_id[0].isdigit())
    return [product for product in wares if product.price_minor > 0][:most]
