"""Figures by product, day and hour of any zone, against sums made from the events one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from event_store.envelope import parse_time
from event_store.events import LikeChanged, Payload, PaymentCompleted, PaymentRefunded, ProductView
from projections.catalogue import DERIVED, METRICS, PROJECTIONS
from projections.figures import (
    COLUMNS,
    RATIOS,
    Question,
    UnknownGrouping,
    UnknownMetric,
    counted_per_product,
    figures,
    grouping,
    metric_named,
)
from projections.memory_read_model import MemoryReadModel
from projections.periods import ALWAYS, Range, UnknownZone
from projections.sqlite_read_model import SqliteReadModel
from tests.web.shop import Shop, busy_days, liked, viewed

SALES = ["orders", "units_sold", "gross_minor", "refunds", "units_refunded", "refunded_minor"]
RETURNS = ["sale_refunds", "sale_refunded_minor", "traced_refunds", "traced_refunded_minor"]
AMOUNT_NAMES = ["net_minor", "untraced_refunds", "untraced_refunded_minor"]
NAMES = [*SALES, "views", "likes", *RETURNS]
Event = tuple[Payload, datetime]
Key = tuple[str, ...]


@pytest.fixture(params=["memory", "sqlite"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    opened = Shop()
    if request.param == "sqlite":
        opened.read_model = SqliteReadModel(tmp_path / "backoffice.db", PROJECTIONS)
    await opened.open()
    yield opened
    await opened.read_model.close()


def by_hand(events: Sequence[Event], by: tuple[str, ...], tz: str, asked: Range = ALWAYS) -> dict[Key, Counter[str]]:
    """(product, period, currency) → sums, by the local time of each event, or of the sale that it undoes."""
    sums: dict[Key, Counter[str]] = {}
    for at, product, currency, adds in (one for event in events for one in _contributions(*event)):
        local = at.astimezone(ZoneInfo(tz))
        if local.date() not in asked:
            continue
        periods = {
            "day": local.date().isoformat(),
            "hour": local.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes"),
            "15min": local.replace(minute=local.minute // 15 * 15, second=0, microsecond=0).isoformat(
                timespec="minutes"
            ),
            "week": local.strftime("%G-W%V"),
            "month": local.strftime("%Y-%m"),
        }
        period = [periods[name] for name in by if name in periods]
        key = (*([product] if "product" in by else []), *period, currency)
        sums.setdefault(key, Counter()).update(adds)
    return sums


Added = tuple[datetime, str, str, dict[str, int]]


def _contributions(payload: Payload, at: datetime) -> list[Added]:
    if isinstance(payload, ProductView):
        return [(at, payload.product_id, payload.currency, {"views": 1})]
    if isinstance(payload, LikeChanged):
        return [(at, payload.product_id, payload.currency, {"likes": payload.delta})]
    if isinstance(payload, PaymentCompleted):
        return _of_lines(payload, at, "orders", "units_sold", "gross_minor")
    assert isinstance(payload, PaymentRefunded)
    found = _of_lines(payload, at, "refunds", "units_refunded", "refunded_minor")
    if payload.sold_at is not None:
        found += _of_lines(payload, parse_time(payload.sold_at), "sale_refunds", "", "sale_refunded_minor")
        found += _of_lines(payload, at, "traced_refunds", "", "traced_refunded_minor")
    return found


def _of_lines(payload: PaymentCompleted | PaymentRefunded, at: datetime, *names: str) -> list[Added]:
    (count, units, amount) = names
    currency = payload.currency
    lines = [(at, one.product_id, currency, {units: one.quantity, amount: one.amount_minor}) for one in payload.lines]
    return [*lines, *((at, product, currency, {count: 1}) for product in {one.product_id for one in payload.lines})]


def _told(sums: dict[Key, Counter[str]]) -> dict[Key, Counter[str]]:
    return {key: Counter({name: value for name, value in of.items() if name and value}) for key, of in sums.items()}


def as_sums(answer: pl.DataFrame, keys: tuple[str, ...]) -> dict[Key, Counter[str]]:
    return {
        tuple(str(row[key]) for key in keys): Counter({name: row[name] for name in NAMES if row[name]})
        for row in answer.to_dicts()
    }


AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
SPRING = datetime(2011, 3, 11, tzinfo=UTC)


BY = ["product", "product,day", "day", "product,hour", "hour", "product,15min", "15min", "week", "product,month", ""]


@pytest.mark.parametrize("by", [grouping(text) for text in BY])
@pytest.mark.parametrize(
    ("tz", "first"),
    [
        ("Europe/London", AUTUMN),
        ("America/New_York", SPRING),
        ("Asia/Kathmandu", AUTUMN),
        ("Asia/Kolkata", SPRING),
        ("UTC", AUTUMN),
    ],
)
async def test_figures_are_the_sums_of_the_events_by_their_local_time(
    shop: Shop, by: tuple[str, ...], tz: str, first: datetime
) -> None:
    events = busy_days(shop, seed=7, first=first, days=5, events=150)
    await shop.happened(*events)
    question = Question(by, tz)
    answer = await figures(shop.read_model, question)
    assert as_sums(answer, question.keys) == _told(by_hand(events, by, tz))
    assert answer["net_minor"].to_list() == (answer["gross_minor"] - answer["refunded_minor"]).to_list()


@pytest.mark.parametrize("by", [("product", "day"), ("hour",)])
async def test_a_range_of_days_holds_the_events_of_these_days_and_no_others(shop: Shop, by: tuple[str, ...]) -> None:
    events = busy_days(shop, seed=3, first=AUTUMN, days=5, events=120)
    await shop.happened(*events)
    asked = Range(date(2011, 10, 29), date(2011, 10, 30))
    question = Question(by, "Europe/London", asked)
    answer = await figures(shop.read_model, question)
    assert as_sums(answer, question.keys) == _told(by_hand(events, by, "Europe/London", asked))
    assert as_sums(answer, question.keys) != _told(by_hand(events, by, "Europe/London"))


async def test_an_answer_has_its_keys_first_and_then_every_metric_and_then_what_is_derived(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100)))
    answer = await figures(shop.read_model, Question(("day", "product")))
    assert answer.columns == ["product_id", "day", "currency", *NAMES, *AMOUNT_NAMES]
    assert [str(kind) for kind in answer.dtypes] == ["String", "Date", "String", *["Int64"] * 15]


async def test_an_answer_without_rows_has_the_same_columns(shop: Shop) -> None:
    empty = await figures(shop.read_model, Question(("product", "day")))
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100)))
    found = await figures(shop.read_model, Question(("product", "day")))
    outside = await figures(shop.read_model, Question(("product", "day"), asked=Range(last=date(2001, 1, 1))))
    assert empty.height == outside.height == 0
    assert found.schema == empty.schema == outside.schema


async def test_every_metric_of_the_catalogue_is_in_every_answer(shop: Shop) -> None:
    answer = await figures(shop.read_model, Question(("product",), ratios=True))
    declared = {metric.name for metric in METRICS} | {ratio.name for ratio in DERIVED}
    assert declared == set(answer.columns) - {"product_id", "currency"}


async def test_rows_come_in_the_order_of_their_keys_and_hours_in_the_order_of_time(shop: Shop) -> None:
    at = datetime(2011, 10, 30, 0, 10, tzinfo=UTC)
    await shop.happened(*(viewed(at + timedelta(hours=n), product) for n in (2, 1, 0) for product in "BA"))
    answer = await figures(shop.read_model, Question(("product", "hour"), "Europe/London"))
    times = ["2011-10-30T01:00+01:00", "2011-10-30T01:00+00:00", "2011-10-30T02:00+00:00"]
    assert answer.select("product_id", "hour").rows() == [(product, hour) for product in "AB" for hour in times]


async def test_a_product_that_was_only_looked_at_stands_beside_one_that_was_only_sold(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "SEEN"), shop.sold(AUTUMN, ("SOLD", 2, 300)), liked(AUTUMN, "SEEN"))
    answer = await figures(shop.read_model, Question(("product",)))
    assert answer.select("product_id", "orders", "gross_minor", "views", "likes").rows() == [
        ("SEEN", 0, 0, 1, 1),
        ("SOLD", 1, 300, 0, 0),
    ]


async def test_an_order_counts_once_for_each_product_in_it(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100), ("A", 2, 200), ("B", 1, 50)))
    by_product = await figures(shop.read_model, Question(("product",)))
    by_day = await figures(shop.read_model, Question(("day",)))
    assert by_product.select("product_id", "orders", "units_sold", "gross_minor").rows() == [
        ("A", 1, 3, 300),
        ("B", 1, 1, 50),
    ]
    assert by_day["orders"].to_list() == [2]
    assert counted_per_product() == {"orders", "refunds", "sale_refunds", "traced_refunds", "untraced_refunds"}


async def test_only_the_asked_products_are_answered(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN, product) for product in "ABC"))
    answer = await figures(shop.read_model, Question(("product",), products=("C", "A", "nobody's")))
    assert answer["product_id"].to_list() == ["A", "C"]


async def test_currencies_are_never_added_up(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100)), shop.sold(AUTUMN, ("A", 1, 70), currency="EUR"))
    answer = await figures(shop.read_model, Question(()))
    assert answer.select("currency", "gross_minor").rows() == [("EUR", 70), ("GBP", 100)]


async def test_ratios_come_only_when_asked_and_are_null_where_there_is_nothing_to_divide_by(shop: Shop) -> None:
    views = [viewed(AUTUMN, "A")] * 4
    await shop.happened(*views, shop.sold(AUTUMN, ("A", 1, 100)), shop.sold(AUTUMN, ("B", 1, 100)))
    plain = await figures(shop.read_model, Question(("product",)))
    answer = await figures(shop.read_model, Question(("product",), ratios=True))
    assert not {ratio.name for ratio in RATIOS} & set(plain.columns)
    assert answer.select("product_id", "conversion", "like_rate").rows() == [("A", 0.25, 0.0), ("B", None, None)]


class SwitchedMeanwhile(MemoryReadModel):
    """Switches to another generation, and ends the old one, while an answer is being read."""

    waiting = True

    async def figures(self, generation: int, question: Question) -> pl.DataFrame:
        if self.waiting:
            self.waiting = False
            number = await self.begin_generation("a rebuild")
            snapshot = await self.snapshot(generation)
            self._cells[number].rows.update(snapshot.rows)
            self._cells[number].inbox = self._cells[generation].inbox
            await self.switch(number, "it is equal")
            await self.abandon(generation, "not needed")
        return await super().figures(generation, question)


async def test_an_answer_is_of_one_generation_even_if_another_begins_to_serve_meanwhile() -> None:
    opened = Shop()
    await opened.open()
    opened.read_model = switching = SwitchedMeanwhile(opened.clock)
    switching.waiting = False
    await opened.happened(opened.sold(AUTUMN, ("A", 1, 100)), viewed(AUTUMN, "A"))
    before = await figures(switching, Question(("day",)))
    switching.waiting = True
    assert (await figures(switching, Question(("day",)))).equals(before)
    assert await switching.serving() == 2


@pytest.mark.parametrize("by", [("year",), ("day", "hour"), ("week", "month"), ("product", "product"), ("",)])
def test_a_grouping_that_figures_are_not_kept_by_is_refused(by: tuple[str, ...]) -> None:
    with pytest.raises(UnknownGrouping):
        Question(by)


def test_a_question_in_an_unknown_zone_is_refused_before_anything_is_read() -> None:
    with pytest.raises(UnknownZone):
        Question(("day",), "Europe/Lodnon")


def test_a_metric_that_no_projection_has_is_refused_with_those_there_are() -> None:
    assert [metric_named(one.name) for one in (*COLUMNS, *RATIOS)] == [*COLUMNS, *RATIOS]
    with pytest.raises(UnknownMetric, match="no metric 'revenue'; there are orders, units_sold"):
        metric_named("revenue")


def test_groupings_are_written_with_commas() -> None:
    assert grouping("product,day") == grouping(" product , day ") == ("product", "day")
    assert grouping("") == ()
