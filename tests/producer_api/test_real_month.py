from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from producer_api.aiohttp_caller import Caller
from producer_api.crew import Crew, unwatched
from producer_api.online_retail import RetailFile, numbered_rows
from producer_api.online_retail_row import SHOP_ZONE
from producer_api.past_visits import visits_before
from producer_api.real_month import BELT, MonthSent, goods, moved, read_real_month, send_month
from tests.retail_oracle import REPOSITORY, whole_file

from .real_shop import RealShop

SHIPPED = REPOSITORY / "producer_api" / "data" / "online-retail-2011-02.csv.xz"
NOW = datetime(2025, 11, 21, 12, 30, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@cache
def month() -> RetailFile:
    return read_real_month()


def few(invoices: int) -> RetailFile:
    """A small part of the month, with what it sells."""
    some = month().invoices[:: len(month().invoices) // invoices]
    sold = {line.product_id for invoice in some for line in invoice.lines}
    return replace(
        month(), invoices=some, products=[product for product in month().products if product.product_id in sold]
    )


async def send(month: RetailFile, shop: RealShop, now: datetime) -> MonthSent:
    async with Caller(shop.url, connections=8, patience_s=10.0) as caller:
        return await send_month(month, Crew(caller, 8, unwatched), now)


def rows_of(file: Path) -> list[list[str]]:
    return [columns for _, columns in numbered_rows(file)]


def test_the_month_is_shipped_small_and_is_exactly_four_weeks() -> None:
    assert SHIPPED.stat().st_size < 350_000
    days = {invoice.at.date() for invoice in month().invoices}
    assert (min(days).isoformat(), max(days).isoformat()) == ("2011-02-01", "2011-02-28")
    assert len(month().invoices) == 1345


def test_the_shipped_rows_are_those_of_the_real_file_where_it_is_at_hand() -> None:
    shipped = rows_of(SHIPPED)
    assert len(shipped) == 27_707
    file = whole_file()
    if file is not None:
        february = {row[0] for row in shipped}
        assert shipped == [row for row in rows_of(file) if row[0] in february]


@settings(max_examples=30, deadline=None)
@given(MOMENTS)
def test_the_moved_month_ends_now_and_keeps_weekday_and_time_of_day(now: datetime) -> None:
    moved_month = moved(month(), now)
    original = {invoice.number: invoice for invoice in month().invoices}
    assert len(moved_month.invoices) == len(original)
    for invoice in moved_month.invoices:
        (was, is_) = (
            one.at.astimezone(SHOP_ZONE).replace(tzinfo=None)
            for one in (original[invoice.number.split("-")[0]], invoice)
        )
        assert (is_ - was) % BELT == timedelta(0)
        assert now - BELT - timedelta(hours=1) < invoice.at <= now
    assert [one.at for one in moved_month.invoices] == sorted(one.at for one in moved_month.invoices)


@settings(max_examples=30, deadline=None)
@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_a_month_moved_later_adds_only_what_has_passed_since(now: datetime, later: timedelta) -> None:
    first = {invoice.number: invoice for invoice in moved(month(), now).invoices}
    for invoice in moved(month(), now + later).invoices:
        if invoice.number in first:
            assert invoice == first[invoice.number]
        else:
            assert invoice.at > now


def test_goods_are_the_most_popular_things_that_cost_something() -> None:
    shelf = goods(month(), 500)
    assert len(shelf) == 500
    assert all(product.price_minor > 0 and product.product_id[0].isdigit() for product in shelf)
    orders = Counter(
        product_id
        for invoice in month().invoices
        if not invoice.is_refund
        for product_id in {line.product_id for line in invoice.lines}
    )
    sold = [orders[product.product_id] for product in shelf]
    assert sold == sorted(sold, reverse=True)
    assert sold[-1] > 5


def test_visits_before_an_order_look_at_everything_that_was_bought_and_are_always_the_same() -> None:
    invoice = next(invoice for invoice in month().invoices if len(invoice.lines) > 10)
    visits = list(visits_before(invoice))
    assert visits == list(visits_before(invoice))
    assert len({visit.id for visit in visits}) == len(visits)
    assert {visit.data.product_id for visit in visits} == {line.product_id for line in invoice.lines}  # type: ignore[attr-defined]
    assert all(timedelta(0) <= invoice.at - visit.time < timedelta(hours=1.5) for visit in visits)


async def test_the_past_is_recorded_once_however_often_it_is_sent(real_shop: RealShop) -> None:
    sent = await send(few(20), real_shop, NOW)
    events = real_shop.events()
    assert (sent.delivery.failed, len(events)) == (0, sum(real_shop.kinds().values()))
    assert real_shop.kinds() == {
        "ProductListed": sent.delivery.products,
        "PaymentCompleted": sent.delivery.orders,
        "PaymentRefunded": sent.delivery.refunds,
        "ProductView": sent.visits.views,
        "LikeChanged": sent.visits.likes,
    }
    await send(few(20), real_shop, NOW)
    assert real_shop.events() == events


async def test_the_past_sent_again_later_goes_on_where_it_ended(real_shop: RealShop) -> None:
    await send(few(20), real_shop, NOW)
    events = real_shop.events()
    await send(few(20), real_shop, NOW + timedelta(days=4))
    again = real_shop.events()
    assert again[: len(events)] == events
    added = [event["time"] for event in again[len(events) :] if event["type"].endswith("PaymentCompleted.v1")]
    assert added
    assert all(datetime.fromisoformat(time) > NOW for time in added)


async def test_what_the_past_says_of_itself_names_its_source(real_shop: RealShop) -> None:
    sent = await send(few(5), real_shop, NOW)
    assert sent.describe().startswith("Behind the shop lie four weeks, 24 Oct 2025 to 21 Nov 2025 12:30: ")
    assert "Online Retail, UCI, CC BY 4.0" in sent.describe()
