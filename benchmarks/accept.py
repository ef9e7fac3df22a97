"""Accept: durable `POST …/views` over 64 connections against one API process, beside a bare handler of the same server.

    python -m benchmarks.accept [--seconds 2] [--rounds 7]

Both are served by uvicorn (httptools, uvloop) and loaded in turn by a raw socket client in a process of its own. The
bare handler is a Litestar handler that reads nothing and writes nothing. Every view counted here was answered after
its commit with synchronous FULL, and is looked for in the outbox afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from litestar import Litestar, post
from msgspec import Struct

from event_store.topics import PARTITIONS
from producer_api.app import ApiLimits, create_app
from producer_api.backpressure import Backpressure
from producer_api.commerce import ListProduct
from producer_api.connect import open_commerce
from tests.servers.ports import free_port

from .http_connection import Connection, request

CONNECTIONS = 64
PRODUCTS = 500
BARE = "/bare"


class Nothing(Struct):
    ok: bool


@post(BARE, status_code=202)
async def bare() -> Nothing:
    return Nothing(ok=True)


def serve_bare(port: int) -> None:
    uvloop.run(_serve(Litestar([bare], logging_config=None, openapi_config=None), port))


def serve_api(port: int, folder: str) -> None:
    uvloop.run(_serve_api(port, folder))


async def _serve_api(port: int, folder: str) -> None:
    commerce = await open_commerce(f"sqlite+aiosqlite:///{folder}/commerce.db", PARTITIONS)
    for number in range(PRODUCTS):
        await commerce.perform(ListProduct(f"product-{number}", "A product", 250, "GBP"))
    no_relay = ApiLimits(pressure=Backpressure(max_rows=sys.maxsize, max_age_s=float("inf")))
    await _serve(create_app(commerce, limits=no_relay), port)
    await commerce.close()


async def _serve(app: Litestar, port: int) -> None:
    config = uvicorn.Config(
        app, port=port, http="httptools", ws="none", lifespan="on", access_log=False, log_level="warning"
    )
    await uvicorn.Server(config).serve()


class Load(Connection):
    """One connection that sends its next request as soon as the last is answered."""

    def __init__(self, requests: list[bytes], until_s: float) -> None:
        super().__init__()
        self._requests = requests
        self._until_s = until_s
        self.count = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._send()

    def answered(self, answer: bytes) -> None:
        if not answer.startswith(b"HTTP/1.1 202"):
            self.done.set_exception(RuntimeError(f"unexpected answer: {answer!r}"))
            return
        self.count += 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        if time.perf_counter() < self._until_s:
            self.transport.write(self._requests[self.count % len(self._requests)])
        else:
            self.transport.close()


def requests(path_of: Callable[[object], str], body: bytes) -> list[bytes]:
    return [request("POST", path_of(number), body) for number in range(PRODUCTS)]


async def _load(port: int, path: str, seconds: float) -> float:
    """Answers per second over all connections."""
    body = b'{"visitor_id":"visitor-4711"}'
    texts = requests(path.format, body)
    begun_s = time.perf_counter()
    loads = []
    for index in range(CONNECTIONS):
        ordered = texts[index:] + texts[:index]
        (_, load) = await asyncio.get_running_loop().create_connection(
            lambda ordered=ordered: Load(ordered, begun_s + seconds),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        loads.append(load)
    await asyncio.gather(*(load.done for load in loads))
    return sum(load.count for load in loads) / (time.perf_counter() - begun_s)


def load(port: int, path: str, seconds: float, answer: multiprocessing.SimpleQueue[float]) -> None:
    answer.put(uvloop.run(_load(port, path, seconds)))


def measure(port: int, path: str, seconds: float) -> float:
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    client = context.Process(target=load, args=(port, path, seconds, answer))
    client.start()
    client.join()
    if client.exitcode:
        sys.exit(f"the load client ended with {client.exitcode}")
    return float(answer.get())


def started(target: Callable[..., None], *args: object) -> tuple[BaseProcess, int]:
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(port, *args))
    process.start()
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return process, port
    sys.exit("the server doesn't answer")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = [started(serve_bare), started(serve_api, folder)]
        try:
            (bare_port, api_port) = (port for _, port in servers)
            views = "/v1/products/product-{}/views"
            measure(bare_port, BARE, 1.0)
            measure(api_port, views, 1.0)
            rounds = [
                (measure(bare_port, BARE, given.seconds), measure(api_port, views, given.seconds))
                for _ in range(given.rounds)
            ]
        finally:
            for process, _ in servers:
                process.terminate()
                process.join()
        report(rounds, Path(folder) / "commerce.db", given.seconds)


def report(rounds: list[tuple[float, float]], database: Path, seconds: float) -> None:
    with sqlite3.connect(database) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    connection.close()
    accepted = sum(views * seconds for _, views in rounds)
    if rows < accepted * 0.95:
        sys.exit(f"{accepted:.0f} views were answered and only {rows} rows are in the outbox")
    for bare_rate, views_rate in rounds:
        print(f"bare {bare_rate:8.0f}/s   durable views {views_rate:8.0f}/s   ratio {views_rate / bare_rate:.2f}")
    bare_median = statistics.median(rate for rate, _ in rounds)
    views_median = statistics.median(rate for _, rate in rounds)
    # Of neighbours in time, so that a machine with other work to do slows both.
    ratio = statistics.median(views_rate / bare_rate for bare_rate, views_rate in rounds)
    print(f"median: bare {bare_median:.0f}/s, durable views {views_median:.0f}/s, ratio {ratio:.2f} (at least 0.5)")


if __name__ == "__main__":
    main()
