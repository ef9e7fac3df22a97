"""Views and likes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers.commerce import SQLITE, ShopDatabase

from .counter import Counterside, open_counter, pointers, problem


async def test_a_view_is_told_in_its_products_currency(counter: Counterside) -> None:
    response = await counter.view("85123A", at="2011-03-27T01:30:00+01:00")
    assert response.status_code == 202
    (event,) = counter.events("ProductView")
    assert response.json() == {"event_id": event["id"]}
    assert event["data"] == {"product_id": "85123A", "visitor_id": "visitor-1", "currency": "GBP"}
    assert event["time"] == "2011-03-27T00:30:00.000000Z"


async def test_a_view_without_a_time_happened_now(counter: Counterside) -> None:
    before = datetime.now(UTC)
    await counter.view()
    (event,) = counter.events("ProductView")
    assert before <= datetime.fromisoformat(event["time"]) <= datetime.now(UTC)


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
@pytest.mark.parametrize(
    "at",
    [
        "2999-01-01T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "2011-03-27T00:00:00",
        "2011-03-27",
        "yesterday",
        1301184000,
    ],
)
async def test_a_time_that_can_not_be_is_refused(counter: Counterside, at: object) -> None:
    assert pointers(problem(await counter.view("85123A", at=at), 422, "invalid-field")) == ["/at"]
    assert counter.events("ProductView") == []


async def test_clocks_may_differ_by_minutes(counter: Counterside) -> None:
    ahead = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    assert (await counter.view("85123A", at=ahead)).status_code == 202
    too_far = (datetime.now(UTC) + timedelta(minutes=6)).isoformat()
    assert pointers(problem(await counter.view("85123A", at=too_far), 422, "invalid-field")) == ["/at"]


async def test_views_that_come_together_are_each_told_once(counter: Counterside) -> None:
    responses = await asyncio.gather(*(counter.view("85123A", visitor_id=f"v{n}") for n in range(100)))
    told = {event["id"]: event["data"]["visitor_id"] for event in counter.events("ProductView")}
    assert {response.json()["event_id"]: f"v{n}" for n, response in enumerate(responses)} == told


async def test_a_view_of_an_unknown_product_does_not_hurt_those_beside_it(counter: Counterside) -> None:
    products = ["85123A", "nope", "71053"] * 10
    responses = await asyncio.gather(*(counter.view(product) for product in products))
    assert [response.status_code for response in responses] == [202, 404, 202] * 10
    assert len(counter.events("ProductView")) == 20


async def test_a_like_is_told_only_when_it_changes(counter: Counterside) -> None:
    path = "/v1/products/85123A/likes/user%201"
    answers = [(await counter.call(method, path)).json() for method in ("PUT", "PUT", "DELETE", "DELETE", "PUT")]
    assert [(one["liked"], one["changed"], one["likes"]) for one in answers] == [
        (True, True, 1),
        (True, False, 1),
        (False, True, 0),
        (False, False, 0),
        (True, True, 1),
    ]
    assert [event["data"]["delta"] for event in counter.events("LikeChanged")] == [1, -1, 1]
    assert counter.events("LikeChanged")[0]["data"]["user_id"] == "user 1"


CALLS = st.lists(
    st.tuples(st.sampled_from(["PUT", "DELETE"]), st.sampled_from(["85123A", "71053"]), st.sampled_from("abc")),
    max_size=25,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(CALLS, max_size=4))
async def test_the_deltas_of_likes_always_add_up_to_the_likes_there_are(
    database: ShopDatabase, batches: list[list[tuple[str, str, str]]]
) -> None:
    database.empty()
    async with open_counter(database) as counter:
        await counter.list_product("85123A")
        await counter.list_product("71053")
        for batch in batches:
            await asyncio.gather(
                *(counter.call(method, f"/v1/products/{product}/likes/{user}") for method, product, user in batch)
            )
            counter.check_books()
