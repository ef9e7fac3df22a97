"""Products: listed, changed, read and paged."""

from __future__ import annotations

import pytest

from tests.servers.commerce import SQLITE

from .counter import PRODUCT, Counterside, pointers, problem


async def test_a_new_product_is_created_and_told(counter: Counterside) -> None:
    response = await counter.list_product("22423", name="Regency cakestand", price_minor=1275)
    assert response.status_code == 201
    assert response.json() == {
        "product_id": "22423",
        "name": "Regency cakestand",
        "price_minor": 1275,
        "currency": "GBP",
        "version": 1,
        "likes": 0,
    }
    told = counter.events("ProductListed")[-1]
    assert told["type"] == "com.countinghouse.catalog.ProductListed.v1"
    assert told["data"] == {
        "product_id": "22423",
        "version": 1,
        "name": "Regency cakestand",
        "price_minor": 1275,
        "currency": "GBP",
    }


@pytest.mark.parametrize("change", [{"name": "Red"}, {"price_minor": 0}, {"currency": "EUR"}])
async def test_a_changed_product_counts_its_version_up_by_one(counter: Counterside, change: dict[str, object]) -> None:
    response = await counter.list_product("85123A", **change)
    assert (response.status_code, response.json()["version"]) == (200, 2)
    assert (await counter.call("GET", "/v1/products/85123A")).json() == response.json()
    assert counter.events("ProductListed")[-1]["data"]["version"] == 2


async def test_an_unchanged_product_makes_no_event(counter: Counterside) -> None:
    before = counter.events()
    response = await counter.list_product("85123A")
    assert (response.status_code, response.json()["version"]) == (200, 1)
    assert counter.events() == before


async def test_ids_that_differ_in_case_are_two_products(counter: Counterside) -> None:
    assert (await counter.list_product("85123a")).status_code == 201


@pytest.mark.parametrize(
    "product_id", ["a b", "Grüße", "100%", "?x=1#y", "%2e%2e", "\N{SNOWMAN}" * 64, "'; DROP TABLE products"]
)
async def test_any_printable_id_is_one_product_on_every_path(counter: Counterside, product_id: str) -> None:
    assert (await counter.list_product(product_id)).status_code == 201
    assert (await counter.view(product_id)).status_code == 202
    assert counter.events("ProductView")[-1]["data"]["product_id"] == product_id


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
@pytest.mark.parametrize("path", ["a%00b", "a%0Ab", "%7F", "%C2%85", "%FF", "%EF%BF%BD", "%ED%A0%80", "x" * 65])
async def test_an_id_that_is_none_is_refused_by_name(counter: Counterside, path: str) -> None:
    before = counter.events()
    for response in (
        await counter.call("PUT", f"/v1/products/{path}", PRODUCT),
        await counter.call("POST", f"/v1/products/{path}/views", {"visitor_id": "v"}),
        await counter.call("GET", f"/v1/products/{path}"),
    ):
        assert pointers(problem(response, 422, "invalid-field")) == ["product_id"]
    assert counter.events() == before


async def test_an_unknown_product_is_not_found(counter: Counterside) -> None:
    problem(await counter.call("GET", "/v1/products/nope"), 404, "unknown-product")
    problem(await counter.view("nope"), 404, "unknown-product")
    problem(await counter.call("PUT", "/v1/products/nope/likes/u"), 404, "unknown-product")
    problem(await counter.call("DELETE", "/v1/products/nope/likes/u"), 404, "unknown-product")


async def test_pages_show_every_product_once_in_order(counter: Counterside) -> None:
    for number in range(7):
        await counter.list_product(f"p {number}/".replace("/", "é"))
    path = "/v1/products?limit=2"
    seen = []
    while path:
        response = await counter.call("GET", path)
        page = response.json()
        seen += [product["product_id"] for product in page["products"]]
        path = response.headers["link"].partition(">")[0].lstrip("<") if page["next"] else ""
        assert ("link" in response.headers) == (page["next"] is not None)
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 9


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=***", "cursor=%FF", "cursor=_w"])
async def test_a_page_that_can_not_be_is_refused_by_the_name_of_its_parameter(counter: Counterside, query: str) -> None:
    body = problem(await counter.call("GET", f"/v1/products?{query}"), 422, "invalid-field")
    assert pointers(body) == [query.partition("=")[0]]
