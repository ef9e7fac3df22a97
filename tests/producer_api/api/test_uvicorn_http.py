"""The server's bounds, over a raw socket: large heads, many headers, slow clients, broken requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from producer_api.app import create_app
from producer_api.uvicorn_http import MAX_HEAD_BYTES, MAX_HEADERS, BoundedHttp

from .counter import Counterside


class Impatient(BoundedHttp):
    request_timeout_s = 0.3
    look_every_s = 0.05


@pytest.fixture
async def port(counter: Counterside) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(counter.commerce), http=Impatient, ws="none", lifespan="off", log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def answer(port: int, *pieces: bytes, pause_s: float = 0.0) -> tuple[int, Any]:
    """Status and JSON of the first answer to what is sent piece by piece."""
    (reader, writer) = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    try:
        for piece in pieces:
            if reading.done():
                break
            writer.write(piece)
            await asyncio.sleep(pause_s)
        head = (await asyncio.wait_for(reading, 10)).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(length))
    finally:
        writer.close()


POST = b"POST /v1/products/85123A/views HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"


async def test_an_ordinary_request_may_come_in_pieces(port: int) -> None:
    body = b'{"visitor_id":"v"}'
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    (status, accepted) = await answer(port, whole[:20], whole[20:90], whole[90:], pause_s=0.02)
    assert (status, set(accepted)) == (202, {"event_id"})


async def test_a_kept_connection_serves_many_requests_beyond_the_time_one_may_take(port: int) -> None:
    (reader, writer) = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(6):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b'{"ok":true,"checks":[]}')
        await asyncio.sleep(0.1)
    writer.close()


async def test_a_percent_encoded_id_is_decoded_once(counter: Counterside, port: int) -> None:
    body = b'{"name":"x","price_minor":1,"currency":"GBP"}'
    head = b"PUT /v1/products/%252e%252e HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    (status, product) = await answer(port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert (status, product["product_id"]) == (201, "%2e%2e")


@pytest.mark.parametrize(
    "pieces",
    [
        [POST, *[b"X-%d: y\r\n" % number for number in range(MAX_HEADERS + 1)], b"\r\n"],
        [POST, b"X: " + b"y" * MAX_HEAD_BYTES, b"\r\n\r\n"],
        [b"GET /" + b"y" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: shop\r\n\r\n"],
        [POST, b"X: ", *[b"y" * 4096] * 12],
        [POST + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n"],
    ],
    ids=["many headers", "a large header", "a long address", "a header without end", "10,000 headers at once"],
)
async def test_a_head_without_measure_is_refused(port: int, pieces: list[bytes]) -> None:
    (status, refused) = await answer(port, *pieces)
    assert (status, refused["type"]) == (431, "urn:countinghouse:problem:head-too-large")


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [POST, *[b"X: y\r\n"] * 100],
        [POST + b"Content-Length: 100\r\n\r\n", *[b" "] * 50],
        [POST + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 50],
    ],
    ids=["nothing", "a slow head", "a slow body", "slow chunks"],
)
async def test_a_request_that_does_not_come_to_an_end_is_given_up(port: int, pieces: list[bytes]) -> None:
    (status, refused) = await answer(port, *pieces, pause_s=0.05)
    assert (status, refused["type"]) == (408, "urn:countinghouse:problem:too-slow")


@pytest.mark.parametrize(
    "text", [b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"]
)
async def test_what_is_no_http_is_a_problem_too(port: int, text: bytes) -> None:
    (status, refused) = await answer(port, text)
    assert (status, refused["type"]) == (400, "urn:countinghouse:problem:bad-request")


async def test_a_large_body_is_refused_before_it_has_come(port: int) -> None:
    (status, refused) = await answer(port, POST + b"Content-Length: 11000000\r\n\r\n")
    assert (status, refused["type"]) == (413, "urn:countinghouse:problem:body-too-large")


async def test_a_client_that_leaves_in_the_middle_of_its_body_changes_nothing(counter: Counterside, port: int) -> None:
    (_, writer) = await asyncio.open_connection("127.0.0.1", port)
    writer.write(POST + b'Content-Length: 100\r\n\r\n{"visitor_id":')
    await writer.drain()
    writer.close()
    await asyncio.sleep(0.05)
    assert (await counter.view()).status_code == 202
    assert counter.kinds()["ProductView"] == 1
