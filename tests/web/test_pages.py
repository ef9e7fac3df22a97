"""What every page has: how complete it is, what was chosen, and no way to break it by its URL."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.web.reading import page
from tests.web.shop import PARTITIONS, Shop, Tables, listed, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)


@pytest.mark.parametrize("text", ["%00", "%FF%FE", "%ED%A0%80", "a" * 3000, "%E2%80%AE", "{{7*7}}", "%27%22%3E"])
@pytest.mark.parametrize(
    "name", ["id", "q", "metric", "sort", "tz", "range", "from", "page", "compare", "interval", "of", "unknown"]
)
async def test_no_value_in_a_url_breaks_a_page(shop: Shop, name: str, text: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        answers = [
            await client.get(f"{path}?{name}={text}")
            for path in ("/", "/products", "/product", "/figures.csv", "/figures.xlsx")
        ]
    assert {answer.status_code for answer in answers} <= {200, 400, 404}


async def test_a_listed_product_that_nobody_saw_has_a_page(shop: Shop) -> None:
    await shop.happened(listed(AUTUMN, "A/B?c=d&e", "Umbrella"), viewed(AUTUMN, "other"))
    async with shop.browser() as client:
        text = await page(client, "/product", id="A/B?c=d&e")
    assert "<h1><bdi>Umbrella</bdi></h1>" in text
    assert "£12.50" in text
    assert "No figures of this product in this range" in text


async def test_what_was_chosen_goes_along_to_other_pages_in_the_url(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = await page(client, "/", tz="Asia/Kolkata", **{"from": "2011-10-28", "to": "2011-10-29"})
    chosen = "range=custom&amp;tz=Asia%2FKolkata&amp;from=2011-10-28&amp;to=2011-10-29"
    assert f'href="/products?{chosen}"' in text
    assert f'href="/pipeline?{chosen}"' in text
    assert 'value="2011-10-28"' in text
    assert 'value="Asia/Kolkata"' in text


@pytest.mark.parametrize("url", ["/", "/products", "/product?id=A", "/pipeline"])
async def test_every_page_says_how_far_it_is_complete(shop: Shop, url: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "A"))
    shop.accepts(*viewed(AUTUMN, "A"))
    shop.clock.passes(5)
    async with shop.browser() as client:
        text = " ".join((await page(client, url)).split())
    assert '<time datetime="2011-12-01T12:00:00+00:00">1 Dec 2011, 12:00:00</time>, offset 2' in text
    assert "1 event on its way" in text


@pytest.mark.parametrize("url", ["/", "/products"])
async def test_an_empty_shop_says_which_command_brings_data(shop: Shop, url: str) -> None:
    async with shop.browser() as client:
        text = await page(client, url)
    assert "countinghouse demo" in text
    assert "countinghouse import online-retail FILE" in text


async def test_the_pipeline_page_shows_what_waits_in_each_stage(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN, "A") for _ in range(3)))
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.accepts(*viewed(AUTUMN, "A"))
    shop.accepts(*viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        (partitions, lanes, generations) = Tables(await page(client, "/pipeline")).tables
    (behind,) = [row for row in partitions[1:] if row[3] != "0"]
    assert behind[1:4] == ["4", "3", "1"]
    (waiting,) = [row for row in lanes[1:] if row[1] != "0"]
    assert waiting[1:6] == ["2", "0", "0", "0", "4"]
    assert generations[1][:2] == ["1", "serving"]


async def test_the_pipeline_page_shows_throughput_and_who_counts_what(shop: Shop) -> None:
    names = [f"partition/{topic}/{number}" for topic, count in PARTITIONS.items() for number in range(count)]
    await shop.leases.take([*names, "member/<first>"], "<first>", 60)
    async with shop.browser() as client:
        before = await page(client, "/pipeline")
        await shop.happened(*(viewed(AUTUMN, "A") for _ in range(30)))
        shop.clock.passes(10)
        after = await page(client, "/pipeline")
    assert "counted/s" not in before
    assert "Rates over the last 10.0 s" in after
    (partitions, lanes, _) = Tables(after).tables
    assert len({len(row) for row in partitions}) == 1
    at = {name: partitions[0].index(name) for name in ("New/s", "Counted/s", "Consumer", "Rebalances")}
    (busy,) = [row for row in partitions[1:] if row[1] == "30"]
    assert [busy[number] for number in at.values()] == ["3.0", "3.0", "<first>", "0"]
    assert [row[lanes[0].index("Sent/s")] for row in lanes[1:] if row[5] == "30"] == ["3.0"]


async def test_an_open_page_gets_only_the_stamp_until_something_was_counted(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        whole = await page(client, "/", range="all")
        version = whole.partition('data-version="')[2].partition('"')[0]
        again = (await client.get("/?range=all", headers={"X-Figures-Version": version})).text
        await shop.happened(viewed(AUTUMN, "A"))
        changed = (await client.get("/?range=all", headers={"X-Figures-Version": version})).text
        elsewhere = (await client.get("/?range=today", headers={"X-Figures-Version": version})).text
    assert version
    assert 'id="stamp"' in again
    assert "<table" not in again
    assert "<table" in changed
    assert "No figures in this range" in elsewhere


async def test_a_page_whose_figures_are_late_leads_to_the_reason(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    shop.clock.passes(12)
    async with shop.browser() as client:
        (late, why) = [await page(client, path) for path in ("/?tz=Asia/Tokyo", "/pipeline")]
        await shop.sends()
        await shop.counts()
        (in_step, none) = [await page(client, path) for path in ("/", "/pipeline")]
    assert '<a href="/pipeline?range=today&amp;tz=Asia%2FTokyo#why">Why?</a>' in late
    assert "<h2>Why the figures are late</h2>" in why
    assert "and no relay has them. Start one: countinghouse relay</li>" in why
    assert ">Why?<" not in in_step
    assert "Why the figures" not in none
    assert "#why" not in why
