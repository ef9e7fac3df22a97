from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest

from producer_api.aiohttp_caller import Answer
from producer_api.campaign_of_the_day import EVERY_VISITS, LASTS_VISITS, Campaigns
from producer_api.online_retail import Product
from producer_api.shoppers import ShopNews, keep_shop
from producer_api.visit import Deed, OrderBody, RefundBody, Step, Till

from .bare_shop import BareShop, Misfortune
from .real_shop import RealShop

GOODS = [Product(str(number), f"Thing {number}", 100 + number, number) for number in range(1, 101)]


def visit(till: Till, window: Product | None = None, status: int = 201) -> list[Step]:
    """The steps of a visit to a shop that gives every call the same status."""
    steps: list[Step] = []
    visiting = till.visit(window)
    step = next(visiting)
    while True:
        steps.append(step)
        order_id = f"order-{len(steps)}-{till.chance.getrandbits(32)}"
        answer = Answer(status, msgspec.json.encode({"order_id": order_id}), replayed=False)
        try:
            step = visiting.send(answer)
        except StopIteration:
            return steps


def days_work(seed: int, visits: int, window: Product | None = None) -> list[Step]:
    till = Till(random.Random(seed), GOODS)
    return [step for _ in range(visits) for step in visit(till, window)]


def looks(steps: list[Step]) -> Counter[str]:
    return Counter(step.path.split("/")[3] for step in steps if step.deed is Deed.VIEW)


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_the_same_seed_makes_the_same_visits_and_another_seed_others() -> None:
    assert days_work(7, 50) == days_work(7, 50)
    assert days_work(7, 50) != days_work(8, 50)


def test_popular_things_are_looked_at_more_often() -> None:
    seen = looks(days_work(1, 1000))
    assert seen["1"] > seen["10"] > seen["100"] > 0


def test_a_campaign_lifts_its_product() -> None:
    usual = looks(days_work(1, 500))["60"] / sum(looks(days_work(1, 500)).values())
    lifted = looks(days_work(1, 500, GOODS[59]))
    assert lifted["60"] / sum(lifted.values()) > 0.3 > 10 * usual


def test_campaigns_come_now_and_then_and_depend_on_the_seed_alone() -> None:
    campaigns = Campaigns(3, GOODS)
    windows = [campaigns.at_visit(number) for number in range(10 * EVERY_VISITS)]
    assert windows == [Campaigns(3, GOODS).at_visit(number) for number in range(10 * EVERY_VISITS)]
    assert windows != [Campaigns(4, GOODS).at_visit(number) for number in range(10 * EVERY_VISITS)]
    assert sum(window is not None for window in windows) == 10 * LASTS_VISITS
    for start in range(0, len(windows), EVERY_VISITS):
        shown = [window for window in windows[start : start + EVERY_VISITS] if window is not None]
        assert len(set(shown)) == 1
    assert windows[0] is None


def test_every_order_is_paid_or_fails_and_about_one_in_fifty_fails() -> None:
    deeds = Counter(step.deed for step in days_work(1, 5000))
    assert deeds[Deed.ORDER] == deeds[Deed.PAYMENT] + deeds[Deed.FAILED_PAYMENT]
    assert 0.01 < deeds[Deed.FAILED_PAYMENT] / deeds[Deed.ORDER] < 0.03
    assert deeds[Deed.VIEW] > deeds[Deed.LIKE] > deeds[Deed.UNLIKE] > 0


def test_a_refund_comes_later_once_and_is_a_line_of_a_paid_order() -> None:
    steps = days_work(1, 3000)
    paid: dict[str, OrderBody] = {}
    refunded: list[str] = []
    for before, step in pairwise(steps):
        if step.deed is Deed.PAYMENT:
            assert isinstance(before.body, OrderBody)
            paid[step.path.split("/")[3]] = before.body
        if step.deed is Deed.REFUND:
            assert isinstance(step.body, RefundBody)
            assert step.body.lines[0] in paid[step.body.order_id].lines
            refunded.append(step.body.order_id)
    assert len(refunded) == len(set(refunded)) > 20


def test_who_is_refused_an_order_pays_nothing() -> None:
    till = Till(random.Random(1), GOODS)
    deeds = Counter(step.deed for _ in range(200) for step in visit(till, status=422))
    assert deeds[Deed.ORDER] > 0
    assert deeds[Deed.PAYMENT] + deeds[Deed.FAILED_PAYMENT] + deeds[Deed.REFUND] == 0


async def test_a_living_shop_records_everything_its_shoppers_do(real_shop: RealShop) -> None:
    stop = asyncio.Event()
    news: list[ShopNews] = []
    keeping = asyncio.create_task(
        keep_shop(real_shop.url, events_per_s=2000, seed=5, stop=stop, report=news.append, report_every_s=0.05)
    )
    await until(lambda: bool(news) and news[-1].deeds[Deed.PAYMENT] > 20)
    stop.set()
    await keeping
    told = news[-1].deeds
    kinds = real_shop.kinds()
    assert news[-1].refused == 0
    assert kinds["ProductListed"] == 500
    assert kinds["ProductView"] >= told[Deed.VIEW] > 100
    assert kinds["PaymentCompleted"] >= told[Deed.PAYMENT] > 20
    assert kinds["PaymentRefunded"] >= told[Deed.REFUND]
    assert kinds["LikeChanged"] > 0
    assert f"{told[Deed.VIEW]:,} views" in news[-1].describe()


async def test_shoppers_wait_while_the_api_is_away_and_go_on_when_it_is_back(real_shop: RealShop) -> None:
    stop = asyncio.Event()
    news: list[ShopNews] = []
    keeping = asyncio.create_task(
        keep_shop(real_shop.url, events_per_s=1000, stop=stop, report=news.append, report_every_s=0.05)
    )
    for _ in range(3):
        seen = news[-1].deeds[Deed.VIEW] if news else 0
        await until(lambda seen=seen: bool(news) and news[-1].deeds[Deed.VIEW] > seen + 20)  # type: ignore[misc]
        await real_shop.die()
        await asyncio.sleep(0.1)
        await real_shop.open()
    stop.set()
    await keeping
    assert news[-1].refused == 0
    assert news[-1].repeats > 0
    assert "calls repeated: " in news[-1].describe()


async def test_no_failure_of_the_api_ends_the_shop(shop: BareShop) -> None:
    statuses = (429, 500, 503, 0, 400, 422)
    shop.misfortune = lambda call, before: (
        Misfortune(statuses[before % 12]) if call.method == "POST" and before % 12 in {0, 1, 2, 4, 5} else None
    )
    stop = asyncio.Event()
    news: list[ShopNews] = []
    keeping = asyncio.create_task(
        keep_shop(shop.url, events_per_s=1000, stop=stop, report=news.append, report_every_s=0.05)
    )
    await until(lambda: bool(news) and news[-1].refused > 5 and news[-1].deeds[Deed.VIEW] > 20)
    assert not keeping.done()
    stop.set()
    await keeping
    assert "calls refused: " in news[-1].describe()


async def test_the_shop_stops_at_once_even_while_the_api_is_away(shop: BareShop) -> None:
    await shop.die()
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_shop(shop.url, stop=stop))
    await asyncio.sleep(1.0)
    assert not keeping.done()
    stop.set()
    begun_s = time.monotonic()
    await keeping
    assert time.monotonic() - begun_s < 1.0


async def test_shoppers_are_no_faster_than_they_are_told(shop: BareShop) -> None:
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_shop(shop.url, events_per_s=30, stop=stop))
    await until(lambda: any(call.method == "POST" for call in shop.calls))
    await asyncio.sleep(1.0)
    stop.set()
    await keeping
    visits = [call for call in shop.calls if call.path != "/v1/orders" and not is_listing(call.method, call.path)]
    assert 2 < len(visits) <= 30 + 2 + 30  # a till that was late by up to a second makes up for it


def is_listing(method: str, path: str) -> bool:
    return method == "PUT" and "/likes/" not in path


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
async def test_a_speed_that_is_none_is_refused(shop: BareShop, speed: float) -> None:
    with pytest.raises(ValueError, match="is no speed"):
        await keep_shop(shop.url, events_per_s=speed, stop=asyncio.Event())
