"""Bad input: every malformed kind is a 4xx problem that names the field, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer_api.refusals import Refused
from producer_api.strict_json import check_keys
from tests.servers.commerce import SQLITE

from .counter import Counterside, line, pointers, problem

DATABASES = (SQLITE,)
"""None of it gets so far."""

PRODUCT_BODY = b'{"name":"Lantern","price_minor":1,"currency":"GBP"}'


def with_price(text: str) -> bytes:
    return PRODUCT_BODY.replace(b'"price_minor":1', b'"price_minor":' + text.encode())


def with_name(text: bytes) -> bytes:
    return PRODUCT_BODY.replace(b'"Lantern"', text)


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ""),
    "not JSON": (b"price=1", ""),
    "BOM": (b"\xef\xbb\xbf" + PRODUCT_BODY, ""),
    "latin-1": (with_name(b'"Stra\xdfe"'), "/name"),
    "overlong UTF-8": (with_name(b'"\xc0\xaf"'), "/name"),
    "UTF-16": (PRODUCT_BODY.decode().encode("utf-16"), ""),
    "UTF-8 surrogate": (with_name(b'"\xed\xa0\x80"'), "/name"),
    "lone surrogate": (with_name(b'"\\ud800"'), "/name"),
    "raw control character": (with_name(b'"a\x01b"'), "/name"),
    "NaN": (with_price("NaN"), "/price_minor"),
    "Infinity": (with_price("Infinity"), "/price_minor"),
    "-Infinity": (with_price("-Infinity"), "/price_minor"),
    "leading zero": (with_price("01"), "/price_minor"),
    "trailing bytes": (PRODUCT_BODY + b"x", ""),
    "two documents": (PRODUCT_BODY * 2, ""),
    "cut off": (PRODUCT_BODY.partition(b',"curr')[0], "/price_minor"),
    "duplicate key": (PRODUCT_BODY.replace(b"{", b'{"name":"Other",'), "/name"),
    "duplicate key, escaped": (PRODUCT_BODY.replace(b"{", b'{"\\u006eame":"Other",'), "/name"),
    "comment": (PRODUCT_BODY.replace(b"{", b"{/**/"), ""),
    "single quotes": (PRODUCT_BODY.replace(b'"', b"'"), ""),
}
"""Kind → body, and where its problem points."""

INVALID: dict[str, tuple[bytes, str]] = {
    "null": (b"null", ""),
    "array": (b"[]", ""),
    "string": (b'"x"', ""),
    "depth 100,000 at the top": (b"[" * 100_000, ""),
    "depth 100,000 in a field": (with_price("[" * 100_000), "/price_minor"),
    "depth 100,000 in an unknown field": (PRODUCT_BODY.replace(b"{", b'{"x":' + b'{"x":' * 100_000), "/x"),
    "20-digit number": (with_price("1" * 20), "/price_minor"),
    "5,000-digit number": (with_price("1" * 5_000), "/price_minor"),
    "2^63": (with_price(str(2**63)), "/price_minor"),
    "over the bound": (with_price(str(10**15 + 1)), "/price_minor"),
    "negative": (with_price("-1"), "/price_minor"),
    "1e999": (with_price("1e999"), "/price_minor"),
    "1e3": (with_price("1e3"), "/price_minor"),
    "1.0": (with_price("1.0"), "/price_minor"),
    "string for a number": (with_price('"1"'), "/price_minor"),
    "bool for a number": (with_price("true"), "/price_minor"),
    "null for a number": (with_price("null"), "/price_minor"),
    "number for a string": (with_name(b"1"), "/name"),
    "NUL": (with_name(b'"a\\u0000b"'), "/name"),
    "line break": (with_name(b'"a\\n"'), "/name"),
    "empty string": (with_name(b'""'), "/name"),
    "201 characters": (with_name(b'"' + b"x" * 201 + b'"'), "/name"),
    "1 MB string": (with_name(b'"' + b"x" * 1_000_000 + b'"'), "/name"),
    "missing field": (PRODUCT_BODY.replace(b'"name":"Lantern",', b""), "/name"),
    "unknown field": (PRODUCT_BODY.replace(b"{", b'{"discount":1,'), "/discount"),
    "wrong case": (PRODUCT_BODY.replace(b'"name"', b'"Name"'), "/Name"),
    "lower-case currency": (PRODUCT_BODY.replace(b"GBP", b"gbp"), "/currency"),
    "long currency": (PRODUCT_BODY.replace(b"GBP", b"GBPX"), "/currency"),
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_what_is_no_strict_json_is_refused_at_its_place(counter: Counterside, kind: str) -> None:
    (body, pointer) = MALFORMED[kind]
    response = await counter.call("PUT", "/v1/products/new", raw=body, content_type="application/json")
    assert pointers(problem(response, 400, "malformed-json")) == [pointer]
    assert counter.rows("SELECT * FROM products WHERE product_id = 'new'") == []


@pytest.mark.parametrize("kind", INVALID)
async def test_a_field_that_is_not_as_declared_is_named(counter: Counterside, kind: str) -> None:
    (body, pointer) = INVALID[kind]
    response = await counter.call("PUT", "/v1/products/new", raw=body)
    assert pointers(problem(response, 422, "invalid-field")) == [pointer]
    assert counter.rows("SELECT * FROM products WHERE product_id = 'new'") == []


LINE_CHANGES: list[tuple[str, Any]] = [
    ("quantity", 0),
    ("quantity", 10**6 + 1),
    ("quantity", True),
    ("quantity", 1.0),
    ("quantity", "6"),
    ("amount_minor", -1),
    ("amount_minor", 10**15 + 1),
    ("product_id", ""),
    ("product_id", "x" * 65),
    ("product_id", "a/b"),
    ("product_id", ".."),
    ("product_id", "a\n"),
    ("product_id", None),
    ("gift", True),
]


@pytest.mark.parametrize(("field", "value"), LINE_CHANGES)
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/refunds"])
async def test_a_wrong_line_is_named_by_its_number_and_field(
    counter: Counterside, path: str, field: str, value: Any
) -> None:
    response = await counter.call("POST", path, {"lines": [line(), {**line(), field: value}]})
    assert pointers(problem(response, 422, "invalid-field")) == [f"/lines/1/{field}"]
    assert counter.kinds() == {"ProductListed": 2}
    assert counter.rows("SELECT * FROM orders") == []


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/orders", {"lines": []}, "/lines"),
        ("/v1/orders", {"lines": {"0": line()}}, "/lines"),
        ("/v1/orders", {"lines": [line()], "order_id": "a/b"}, "/order_id"),
        ("/v1/orders", {"lines": [line()], "buyer_id": 17850}, "/buyer_id"),
        ("/v1/orders", {"lines": [line()], "status": "paid"}, "/status"),
        ("/v1/orders/1/payments", {"outcome": "maybe"}, "/outcome"),
        ("/v1/orders/1/payments", {"outcome": "completed", "payment_id": ""}, "/payment_id"),
        ("/v1/orders/1/payments", {"outcome": "completed", "amount_minor": 1}, "/amount_minor"),
        ("/v1/orders/1/payments", {"outcome": "completed", "at": "2011-13-01T00:00:00Z"}, "/at"),
        ("/v1/refunds", {"lines": [line()], "refund_id": " \t"}, "/refund_id"),
        ("/v1/refunds", {"lines": [line()], "at": "1999-01-01T00:00:00Z"}, "/at"),
        ("/v1/products/85123A/views", {"visitor_id": {"x": 1}}, "/visitor_id"),
        ("/v1/products/85123A/views", {}, "/visitor_id"),
        ("/v1/products/85123A/views", {"visitor_id": "v", "count": 5}, "/count"),
    ],
)
async def test_every_post_names_the_field_that_is_wrong(
    counter: Counterside, path: str, body: Any, pointer: str
) -> None:
    assert pointers(problem(await counter.call("POST", path, body), 422, "invalid-field")) == [pointer]
    assert counter.kinds() == {"ProductListed": 2}


POSTS = ["/v1/products/85123A/views", "/v1/orders", "/v1/orders/1/payments", "/v1/refunds", "/v1/events"]


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_over_one_mebibyte_is_refused_announced_or_not(counter: Counterside, path: str) -> None:
    body = b'{"x":"' + b"x" * 1_048_570 + b'"}'
    problem(await counter.call("POST", path, raw=body), 413, "body-too-large")

    async def chunks() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    response = await counter.client.post(path, content=chunks(), headers={"content-type": "application/json"})
    assert "content-length" not in response.request.headers
    problem(response, 413, "body-too-large")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonx"],
)
async def test_another_media_type_is_refused(counter: Counterside, path: str, media_type: str) -> None:
    problem(await counter.call("POST", path, raw=b"{}", content_type=media_type), 415, "unsupported-media-type")


@pytest.mark.parametrize("media_type", ["application/json;charset=utf-8", 'Application/JSON; charset="UTF-8"'])
async def test_utf_8_may_be_said(counter: Counterside, media_type: str) -> None:
    response = await counter.call(
        "POST", "/v1/products/85123A/views", raw=b'{"visitor_id":"v"}', content_type=media_type
    )
    assert response.status_code == 202


async def test_a_compressed_body_is_refused(counter: Counterside) -> None:
    problem(
        await counter.call("POST", "/v1/refunds", raw=b"\x1f\x8b", content_encoding="gzip"),
        415,
        "unsupported-media-type",
    )


async def test_an_unknown_address_is_not_found(counter: Counterside) -> None:
    for path in ("/", "/v1", "/v1/coupons", "/v1/products/a/b", "/v1/products/a/views/b", "/v2/products"):
        problem(await counter.call("GET", path), 404, "not-found")


async def test_another_method_is_told_which_are_taken(counter: Counterside) -> None:
    response = await counter.call("POST", "/v1/products/85123A", {})
    problem(response, 405, "method-not-allowed")
    assert {"GET", "PUT"} <= set(response.headers["allow"].split(", "))
    problem(await counter.call("GET", "/v1/refunds"), 405, "method-not-allowed")


KEYS = st.text(max_size=3)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_json_without_repeated_keys_passes(value: Any) -> None:
    check_keys(json.dumps(value).encode())


@given(JSON_VALUES, KEYS, JSON_VALUES, st.lists(st.sampled_from(["list", "object"]), max_size=5))
def test_a_key_that_stands_twice_is_found_wherever_it_is(first: Any, key: str, second: Any, way: list[str]) -> None:
    wrap: dict[str, Callable[[str], str]] = {
        "list": lambda text: f"[1,{text}]",
        "object": lambda text: f'{{"o":{text}}}',
    }
    text = f"{{{json.dumps(key)}:{json.dumps(first)},{json.dumps(key)}:{json.dumps(second)}}}"
    pointer = "/" + key.replace("~", "~0").replace("/", "~1") if key else ""
    for step in way:
        text = wrap[step](text)
        pointer = ("/1" if step == "list" else "/o") + pointer
    with pytest.raises(Refused) as refused:
        check_keys(text.encode())
    assert [error.pointer for error in refused.value.errors] == [pointer]
