"""Running it: health, metrics, backpressure, the description, and faults of ours."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from event_store.pauses import Pause
from producer_api.app import create_app
from producer_api.refusals import KINDS
from tests.servers.commerce import SQLITE

from .counter import Counterside, line, problem


async def test_a_running_api_is_alive_and_ready(counter: Counterside) -> None:
    assert (await counter.call("GET", "/livez")).json() == {"ok": True, "checks": []}
    ready = await counter.call("GET", "/readyz")
    assert ready.json()["ok"]
    assert ready.json()["checks"] == [
        {"name": "commerce database", "ok": True, "detail": ""},
        {"name": "schema", "ok": True, "detail": "at head"},
    ]


async def test_an_api_whose_database_is_not_migrated_is_not_ready(counter: Counterside) -> None:
    app: Any = create_app(counter.commerce, schema_trouble=lambda: "run `countinghouse migrate`")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"][-1] == {"name": "schema", "ok": False, "detail": "run `countinghouse migrate`"}


async def test_an_api_without_its_lanes_is_not_ready(counter: Counterside) -> None:
    counter.database.execute("DELETE FROM outbox_lane WHERE topic = 'catalog-events'")
    response = await counter.call("GET", "/readyz")
    assert (response.status_code, response.json()["ok"]) == (503, False)


async def test_requests_groups_and_the_backlog_are_counted(counter: Counterside) -> None:
    await asyncio.gather(*(counter.view() for _ in range(10)))
    problem(await counter.view("nope"), 404, "unknown-product")
    await counter.call("GET", "/nowhere")
    await counter.pressure.refresh(counter.commerce)
    text = (await counter.client.get("/metrics")).text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    views = (("method", "POST"), ("route", "/v1/products/{product_id}/views"))
    count = "countinghouse_api_request_duration_seconds_count"
    assert samples[count, *views, ("status", "202")] == 10
    assert samples[count, *views, ("status", "404")] == 1
    assert samples[count, ("method", "GET"), ("route", "unmatched"), ("status", "404")] == 1
    assert samples["countinghouse_api_group_commit_requests_sum",] == 2 + 10 + 1
    assert samples["countinghouse_api_group_commit_duration_seconds_count",] >= 4
    assert samples["countinghouse_api_outbox_pending",] == 2 + 10
    assert samples["countinghouse_api_outbox_oldest_pending_seconds",] > 0


async def test_ids_are_no_labels(counter: Counterside) -> None:
    before = len((await counter.client.get("/metrics")).text.splitlines())
    for number in range(20):
        await counter.list_product(f"p{number}")
        await counter.call("GET", f"/nowhere/{number}")
    lines = (await counter.client.get("/metrics")).text.splitlines()
    assert len(lines) - before < 100


@pytest.mark.parametrize(("max_rows", "max_age_s"), [(1, 60.0), (1000, 0.0)])
async def test_while_too_much_waits_only_orders_are_taken(
    counter: Counterside, max_rows: int, max_age_s: float
) -> None:
    (counter.pressure.max_rows, counter.pressure.max_age_s) = (max_rows, max_age_s)
    await counter.pressure.refresh(counter.commerce)
    for response in (
        await counter.view(),
        await counter.call("PUT", "/v1/products/85123A/likes/u"),
        await counter.call("DELETE", "/v1/products/85123A/likes/u"),
        await counter.call("POST", "/v1/events", []),
    ):
        problem(response, 503, "outbox-backlog")
        assert int(response.headers["retry-after"]) >= 1
    await counter.paid_order("536365")
    assert (await counter.refund(order_id="536365")).status_code == 201
    assert (await counter.list_product("new")).status_code == 201
    (counter.pressure.max_rows, counter.pressure.max_age_s) = (1000, 60.0)
    await counter.pressure.refresh(counter.commerce)
    assert (await counter.view()).status_code == 202


async def test_behind_a_paused_relay_rows_may_grow_old_but_not_many(counter: Counterside) -> None:
    async def paused() -> Pause:
        return Pause("relay", "ada", "the broker moves", 0)

    (counter.pressure.max_age_s, counter.pressure.look) = (0.0, paused)
    await counter.pressure.refresh(counter.commerce)
    assert (await counter.view()).status_code == 202
    counter.pressure.max_rows = 1
    await counter.pressure.refresh(counter.commerce)
    assert "An operator has paused the relay" in problem(await counter.view(), 503, "outbox-backlog")["detail"]


async def test_the_api_looks_at_the_backlog_by_itself(counter: Counterside) -> None:
    for _ in range(300):
        if counter.pressure.backlog.rows:
            break
        await asyncio.sleep(0.01)
    assert counter.pressure.backlog.rows == 2


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
async def test_the_description_is_whole(counter: Counterside) -> None:
    document = (await counter.client.get("/schema/openapi.json")).json()
    assert document == counter.description.document
    described = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == {
        "PUT /v1/products/{product_id}",
        "GET /v1/products/{product_id}",
        "GET /v1/products",
        "POST /v1/products/{product_id}/views",
        "PUT /v1/products/{product_id}/likes/{user_id}",
        "DELETE /v1/products/{product_id}/likes/{user_id}",
        "POST /v1/orders",
        "GET /v1/orders/{order_id}",
        "POST /v1/orders/{order_id}/payments",
        "POST /v1/refunds",
        "GET /v1/refunds/{refund_id}",
        "POST /v1/events",
        "GET /livez",
        "GET /readyz",
    }
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            keyed = any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
            assert keyed == (method == "post"), path
            assert ("requestBody" in operation) == (method in ("put", "post") and "likes" not in path), path
            assert operation["description"], path


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/products/x", {"name": "Lantern", "price_minor": 1, "currency": "GBP"}),
        ("/v1/products/85123A/views", {"visitor_id": "v", "at": "2011-01-05T10:00:00Z"}),
        ("/v1/orders", {"lines": [line()]}),
        ("/v1/refunds", {"lines": [line()], "currency": "GBP"}),
    ],
)
async def test_what_the_description_allows_is_taken_and_what_it_does_not_is_refused(
    counter: Counterside, path: str, body: dict[str, object]
) -> None:
    method = "PUT" if path == "/v1/products/x" else "POST"
    operation = counter.description.operation(method, path)
    assert operation is not None
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    counter.description.validate(schema, body)
    assert (await counter.call(method, path, body)).is_success
    for name in body:
        broken = {**body, name: [1]}
        with pytest.raises(AssertionError):
            counter.description.validate(schema, broken)
        assert (await counter.call(method, path, broken)).status_code == 422


async def test_a_fault_of_ours_is_a_problem_without_its_inside(counter: Counterside) -> None:
    await counter.place_order("1")
    with counter.database.refusing("payments"):
        responses = await asyncio.gather(counter.pay("1"), counter.view(), counter.pay("1", "failed"))
        assert [response.status_code for response in responses] == [500, 202, 500]
        assert "secret" not in problem(responses[0], 500, "internal")["detail"]
        counter.check_books()
    assert (await counter.pay("1")).status_code == 201


def test_every_kind_of_refusal_is_an_error_with_a_stable_name() -> None:
    assert all(400 <= kind.status < 600 and kind.slug == kind.slug.lower() for kind in KINDS.values())
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
