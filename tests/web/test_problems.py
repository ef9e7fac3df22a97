"""What goes wrong is told in words, with the request's id, and never as a stack trace."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from backoffice.process_metrics import process_registry
from event_store.errors import LogUnavailable, StorageUnavailable, StorageUnusable
from event_store.events import Line, PaymentCompleted
from event_store.memory_log import MemoryLog
from projections.memory_read_model import MemoryReadModel
from tests.web.shop import Shop, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)

QUESTIONS = [
    ("tz=Europe/Lodnon", "No time zone &#39;Europe/Lodnon&#39; is known"),
    (
        "from=2011-05-01&to=2011-04-01",
        "The range ends on 2011-04-01, before it starts on 2011-05-01; put the earlier day first.",
    ),
    ("from=yesterday", "&#39;yesterday&#39; is no day; write it as 2011-03-27."),
]


@pytest.mark.parametrize(("query", "words"), [*QUESTIONS, ("range=fortnight", "No range &#39;fortnight&#39;")])
@pytest.mark.parametrize("path", ["/", "/products", "/product", "/pipeline"])
async def test_a_question_that_can_not_be_answered_is_a_page_that_says_why(
    shop: Shop, path: str, query: str, words: str
) -> None:
    async with shop.browser() as client:
        answer = await client.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert words in answer.text
    assert answer.headers["x-request-id"] in answer.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sort=profit", "No metric &#39;profit&#39;; there are net_minor, orders"),
        ("dir=sideways", "there are up and down"),
        ("page=0", "pages are numbered from 1"),
        ("page=²", "pages are numbered from 1"),
        ("page=-1", "pages are numbered from 1"),
    ],
)
async def test_a_products_table_that_can_not_be_is_refused_in_words(shop: Shop, query: str, words: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        answer = await client.get(f"/products?{query}")
    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tz=Europe/Lodnon", "No time zone 'Europe/Lodnon' is known"),
        (
            "from=2011-05-01&to=2011-04-01",
            "The range ends on 2011-04-01, before it starts on 2011-05-01; put the earlier day first.",
        ),
        ("by=year", "Figures can't be grouped by 'year'; use product, 15min, hour, day, week, month."),
        ("by=day,hour", "by one of 15min, hour, day, week, month, each once"),
        ("form=2011-03-01", "No parameter 'form'; there are by, from, product, ratios, to, tz."),
        ("ratios=perhaps", "Validation failed"),
    ],
)
async def test_the_api_gives_a_problem_for_the_same(shop: Shop, query: str, words: str) -> None:
    async with shop.browser() as client:
        answer = await client.get(f"/api/figures?{query}")
    problem = answer.json()
    assert answer.status_code == problem["status"] == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert words in problem["detail"]
    assert problem["type"].startswith("urn:countinghouse:problem:")
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert set(problem) == {"type", "title", "status", "detail", "instance"}


async def test_an_unknown_product_and_an_unknown_page_are_not_found(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        product = await client.get("/product?id=B")
        page = await client.get("/nowhere")
        api = await client.get("/api/nowhere")
    assert [one.status_code for one in (product, page, api)] == [404, 404, 404]
    assert "No product &#39;B&#39; is listed, sold or looked at." in product.text
    assert page.headers["content-type"].startswith("text/html")
    assert api.headers["content-type"].startswith("application/problem+json")


class Locked(MemoryReadModel):
    async def serving(self) -> int:
        raise StorageUnavailable("/secret/place/backoffice.db: database is locked")


class Damaged(MemoryReadModel):
    async def serving(self) -> int:
        raise StorageUnusable("backoffice.db: database disk image is malformed. Check the file.")


class Unreachable(MemoryLog):
    async def topics(self) -> dict[str, int]:
        raise LogUnavailable("/secret/place/log.db: unable to open database file")


class Surprised(MemoryReadModel):
    async def serving(self) -> int:
        raise KeyError("a fault of ours")


@pytest.mark.parametrize("url", ["/", "/products", "/product?id=A", "/pipeline", "/api/figures", "/api/status"])
async def test_a_locked_database_is_said_to_be_busy_without_its_path(shop: Shop, url: str) -> None:
    shop.read_model = Locked(shop.clock)
    async with shop.browser() as client:
        answer = await client.get(url)
    assert answer.status_code == 503
    assert "A database is busy, full or out of reach." in answer.text
    assert "/secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


async def test_a_log_out_of_reach_is_said_to_be(shop: Shop) -> None:
    shop.log = Unreachable(shop.clock)
    async with shop.browser() as client:
        answer = await client.get("/")
    assert (answer.status_code, "out of reach" in answer.text) == (503, True)


async def test_a_damaged_file_is_named_with_what_to_do(shop: Shop) -> None:
    shop.read_model = Damaged(shop.clock)
    async with shop.browser() as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert "Check the file. `countinghouse status` says more." in answer.text


@pytest.mark.parametrize("url", ["/", "/api/figures"])
async def test_a_fault_of_ours_shows_no_stack_trace(shop: Shop, url: str) -> None:
    shop.read_model = Surprised(shop.clock)
    async with shop.browser() as client:
        answer = await client.get(url)
    assert answer.status_code == 500
    assert "The fault is ours." in answer.text
    assert "KeyError" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


async def test_the_process_lives_and_is_ready_when_all_stages_can_be_read(shop: Shop) -> None:
    async with shop.browser() as client:
        (alive, ready) = (await client.get("/livez"), await client.get("/readyz"))
    assert (alive.status_code, ready.status_code) == (200, 200)
    assert [(check["name"], check["ok"]) for check in ready.json()["checks"]] == [
        ("read model", True),
        ("log", True),
        ("outbox", True),
        ("schema", True),
        ("cache", True),
    ]


async def test_the_process_is_not_ready_while_a_database_is_not_migrated(shop: Shop) -> None:
    async with shop.browser(schema_trouble=lambda: "run `countinghouse migrate`") as client:
        ready = await client.get("/readyz")
    assert ready.status_code == 503
    (schema,) = [check for check in ready.json()["checks"] if check["name"] == "schema"]
    assert schema == {"name": "schema", "ok": False, "detail": "run `countinghouse migrate`", "needed": True}


async def test_the_process_lives_and_is_not_ready_while_a_stage_can_not_be_read(shop: Shop) -> None:
    shop.read_model = Locked(shop.clock)
    async with shop.browser() as client:
        (alive, ready, metrics) = [await client.get(path) for path in ("/livez", "/readyz", "/metrics")]
    assert (alive.status_code, ready.status_code, metrics.status_code) == (200, 503, 200)
    assert [check["ok"] for check in ready.json()["checks"]] == [False, True, True, True, True]
    assert "countinghouse_pipeline_readable 0.0" in metrics.text


async def test_the_metrics_are_those_of_the_pipeline(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "A"))
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.clock.passes(4)
    shop.accepts(*viewed(AUTUMN, "A"))
    (lane,) = [one for one in await shop.outbox.lanes() if one.sent]
    await shop.leases.take([f"partition/{lane.tp}", "member/first"], "first", 60)
    async with shop.browser() as client:
        text = (await client.get("/metrics")).text
    assert "rebuild" not in text
    place = f'partition="{lane.tp.partition}",topic="catalog-events"'
    for line in (
        "countinghouse_consumer_members 1.0",
        f"countinghouse_consumer_held{{{place}}} 1.0",
        f"countinghouse_consumer_rebalances_total{{{place}}} 0.0",
        f"countinghouse_outbox_pending{{{place}}} 1.0",
        f"countinghouse_outbox_published_total{{{place}}} 3.0",
        f'countinghouse_consumer_lag{{group="countinghouse.metrics",{place}}} 1.0',
        'countinghouse_consumer_lag_seconds{group="countinghouse.metrics",topic="catalog-events"} 4.0',
        f"countinghouse_projection_position{{{place}}} 2.0",
        "countinghouse_projection_freshness_seconds 4.0",
        "countinghouse_pipeline_readable 1.0",
    ):
        assert line in text.splitlines()
    assert 'product="' not in text


async def test_a_rebuild_under_way_shows_how_far_it_is_and_since_when(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "A"))
    await shop.read_model.begin_generation("proof")
    shop.clock.passes(90)
    async with shop.browser(registry=process_registry(Path.cwd())) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    assert "countinghouse_projection_rebuild_progress_ratio 0.0" in lines
    assert "countinghouse_projection_rebuild_duration_seconds 90.0" in lines
    assert any(line.startswith("countinghouse_build_info{version=") for line in lines)


async def test_metrics_of_two_dashboards_in_one_process_do_not_mix(shop: Shop) -> None:
    other = Shop()
    await other.open()
    await other.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as first, other.browser() as second:
        texts = [(await client.get("/metrics")).text for client in (first, second, first)]
    assert texts[0] == texts[2] != texts[1]


async def test_a_total_beyond_64_bits_is_refused_in_words_and_its_products_still_show(shop: Shop) -> None:
    most = [Line(f"gold-{number}", 1, 10**15) for number in range(2000)]
    at = datetime(2011, 11, 30, 12, tzinfo=UTC)
    orders = [PaymentCompleted(f"order-{number}", f"payment-{number}", "GBP", most) for number in range(5)]
    await shop.happened(*((order, at) for order in orders))
    async with shop.browser() as client:
        total = await client.get("/api/figures?by=day")
        assert total.status_code == 400
        assert "would go beyond 64 bits: ask for a shorter time or for fewer products" in total.json()["detail"]
        each = await client.get("/api/figures?by=product&product=gold-7")
        assert each.json()["rows"][0]["gross_minor"] == 5 * 10**15
        page = await client.get("/?from=2011-11-01&to=2011-12-01")
        assert page.status_code == 400
        assert "ask for a shorter time" in page.text
