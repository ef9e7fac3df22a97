"""A shop with both databases in PostgreSQL: the server dies, processes share it, and other services write to it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.producer_api.api.counter import Books
from tests.servers.commerce import PostgresShop
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer, running_postgres

from .shop import Shop, excerpt_oracle, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

CRASHES = 3
SEED = 7
CLIENTS = 8
ORDERS = 12
PRODUCT = {"name": "White hanging heart", "price_minor": 150, "currency": "GBP"}
LINES = [{"product_id": "A", "quantity": 2, "amount_minor": 300}]
EVERY_EVENT = "SELECT payload FROM outbox"


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    """A server that may be killed."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def commerce(postgres: PostgresServer) -> Iterator[PostgresShop]:
    with closing(PostgresShop(postgres)) as database:
        yield database


@pytest.fixture
def shop(commerce: PostgresShop, postgres_url: str, tmp_path: Path) -> Iterator[Shop]:
    with shop_over(commerce, postgres_url, tmp_path) as one:
        yield one


@contextmanager
def shop_over(commerce: PostgresShop, figures_url: str, folder: Path) -> Iterator[Shop]:
    """At its end its state is what its outbox tells."""
    addresses = {"COUNTINGHOUSE_COMMERCE_DB_URL": commerce.url, "COUNTINGHOUSE_BACKOFFICE_DB_URL": figures_url}
    one = Shop(folder / "over-postgres", addresses)
    yield one
    one.close()
    assert one.complaints() == []
    with commerce.snapshot() as rows:
        Books(rows).check()


async def test_a_shop_with_both_databases_in_postgresql_counts_whoever_is_killed(shop: Shop) -> None:
    (api, relay, consumer) = shop.start_line()
    sending = asyncio.create_task(shop.send())
    for victim in (relay, api, consumer):
        await asyncio.sleep(1)
        victim.kill()
        shop.start(victim.role)
    assert (await sending).delivery.failed == 0
    await shop.counted_exactly(excerpt_oracle())
    assert "Complete up to" in shop.ok("status")
    assert shop.ok("outbox", "dead")
    shop.ok("rebuild")
    await shop.counted_exactly(excerpt_oracle())


async def test_what_another_service_writes_in_its_own_transaction_is_counted(
    shop: Shop, commerce: PostgresShop
) -> None:
    (api, *_) = shop.start_line()
    await api.is_up()
    client = await asyncpg.connect(commerce.url.replace("+asyncpg", ""))
    await client.execute("CREATE TABLE till (receipt TEXT PRIMARY KEY)")
    for number in range(20):
        block = client.transaction()
        await block.start()
        await client.execute("INSERT INTO till VALUES ($1)", str(number))
        await client.fetchval("SELECT countinghouse_emit('order-events', $1, $2)", str(number), sold(str(number)))
        await (block.rollback() if number % 4 == 0 else block.commit())
    await client.close()
    await shop.drained()
    assert await shop.figures("product") == [("A", "GBP", 15, 30, 4500, 0, 0, 0, 4500)]
    assert commerce.rows("SELECT count(*) FROM till") == [(15,)]


async def test_what_another_service_writes_while_a_topic_moves_over_is_counted_and_goes_to_the_new_version(
    shop: Shop, commerce: PostgresShop
) -> None:
    for one in shop.start_line():
        await one.is_up()
    migrate = ("topics", "migrate", "order-events", "--partitions", "9")
    moving: asyncio.Task[str] | None = None
    client = await asyncpg.connect(commerce.url.replace("+asyncpg", ""))
    number = 0
    while moving is None or not moving.done():
        await client.fetchval("SELECT countinghouse_emit('order-events', $1, $2)", str(number), sold(str(number)))
        number += 1
        if number == 20:
            moving = asyncio.create_task(asyncio.to_thread(shop.ok, *migrate))
        await asyncio.sleep(0.01)
    assert "order-events is closed" in await moving
    for later in ("a", "b", "c"):
        await client.fetchval("SELECT countinghouse_emit('order-events', $1, $2)", later, sold(later))
    await client.close()
    await shop.drained()
    sales = number + 3
    assert await shop.figures("product") == [("A", "GBP", sales, 2 * sales, 300 * sales, 0, 0, 0, 300 * sales)]
    written = dict(commerce.rows("SELECT o.key, l.topic FROM outbox AS o JOIN outbox_lane AS l ON l.id = o.lane"))
    assert {written[key] for key in map(str, range(20))} == {"order-events"}
    assert {written[key] for key in ("a", "b", "c")} == {"order-events.v2"}


def sold(order_id: str) -> str:
    data = {"order_id": order_id, "payment_id": order_id, "currency": "GBP", "lines": LINES}
    head = {"specversion": "1.0", "id": order_id, "source": "/till", "time": "2011-03-04T12:30:00Z"}
    return json.dumps({**head, "type": "com.countinghouse.orders.PaymentCompleted.v1", "data": data})


@dataclass
class Client:
    """Asks for one thing after the other, all of them new, and remembers how each was answered."""

    url: str
    name: str
    taken: dict[str, Any] = field(default_factory=dict)
    """What was answered with success, by its visitor, user or order."""
    turned_away: dict[str, int] = field(default_factory=dict)
    """What wasn't, with the status; 0 where there was no answer."""

    async def keep_asking(self, stop: asyncio.Event) -> None:
        number = 0
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            while not stop.is_set():
                number += 1
                await self._ask(http, f"{self.name}-{number}")

    async def _ask(self, http: httpx.AsyncClient, tag: str) -> None:
        await self._note(f"view-{tag}", http.post("/v1/products/A/views", json={"visitor_id": tag}))
        await self._note(f"like-{tag}", http.put(f"/v1/products/A/likes/{tag}"))
        await self._note(f"order-{tag}", http.post("/v1/orders", json={"order_id": tag, "lines": LINES}))
        if f"order-{tag}" in self.taken:
            paid = {"payment_id": tag, "outcome": "completed"}
            await self._note(f"payment-{tag}", http.post(f"/v1/orders/{tag}/payments", json=paid))

    async def _note(self, what: str, call: Any) -> None:
        response = await call
        if response.is_success:
            self.taken[what] = response.json()
        else:
            assert (response.status_code, response.headers["retry-after"]) == (503, "1"), response.text
            assert response.json()["type"] == "urn:countinghouse:problem:storage-unavailable"
            self.turned_away[what] = response.status_code


async def test_a_server_that_crashes_under_load_loses_doubles_and_halves_nothing(
    mortal: PostgresServer, tmp_path: Path
) -> None:
    figures_url = mortal.url(await mortal.create_migrated_database())
    with closing(PostgresShop(mortal)) as commerce, shop_over(commerce, figures_url, tmp_path) as shop:
        (api, *_) = shop.start_line()
        await api.is_up()
        await _list_product(shop)
        clients = [Client(shop.api_url, str(number)) for number in range(CLIENTS)]
        stop = asyncio.Event()
        load = asyncio.gather(*(client.keep_asking(stop) for client in clients))
        for _ in range(CRASHES):
            await asyncio.sleep(1.5)
            mortal.stop_immediately()
            await asyncio.sleep(0.5)
            await mortal.start_again()
        await until(lambda: _is_ready(shop), api)
        await asyncio.sleep(0.5)
        stop.set()
        await load
        await shop.drained()
        _check_answers(commerce, clients)


def _check_answers(commerce: PostgresShop, clients: list[Client]) -> None:
    """Views have no state, and no id that a repeat would be known by: of all calls they are the hardest to keep."""
    taken = {what: body for client in clients for what, body in client.taken.items()}
    turned_away = {what for client in clients for what in client.turned_away}
    assert len(taken) > 100
    assert turned_away, "the crashes hit nobody"
    events = [json.loads(payload) for (payload,) in commerce.rows(EVERY_EVENT)]
    views = Counter(f"view-{one['data']['visitor_id']}" for one in events if "ProductView" in one["type"])
    assert set(views.values()) == {1}
    assert {what for what in taken if what.startswith("view-")} <= views.keys()
    told = {event["id"] for event in events}
    assert {body["event_id"] for body in taken.values() if "event_id" in body} <= told
    orders = {f"order-{order_id}" for (order_id,) in commerce.rows("SELECT order_id FROM orders")}
    assert {what for what in taken if what.startswith("order-")} <= orders
    likes = {f"like-{user_id}" for (user_id,) in commerce.rows("SELECT user_id FROM likes")}
    assert {what for what in taken if what.startswith("like-")} <= likes
    payments = {f"payment-{payment_id}" for (payment_id,) in commerce.rows("SELECT payment_id FROM payments")}
    assert {what for what in taken if what.startswith("payment-")} <= payments
    assert views.keys() | orders | likes | payments <= taken.keys() | turned_away


async def test_two_processes_of_the_api_keep_the_laws_over_the_same_orders_users_and_keys(
    shop: Shop, commerce: PostgresShop
) -> None:
    (first, *_) = shop.start_line()
    port = free_port()
    second = shop.start("api", COUNTINGHOUSE_API_PORT=str(port))
    urls = [shop.api_url, f"http://127.0.0.1:{port}"]
    await first.is_up()
    await until(lambda: _answers(urls[1]), second)
    await _list_product(shop)
    chance = random.Random(SEED)
    answers: dict[str, set[bytes]] = {}
    async with httpx.AsyncClient(timeout=60) as http:
        for order_id in map(str, range(ORDERS)):
            placed = await http.post(f"{urls[0]}/v1/orders", json={"order_id": order_id, "lines": LINES})
            assert placed.status_code == 201
            paid = [_pay(http, chance.choice(urls), order_id, f"{order_id}-{number}") for number in range(4)]
            claimed = [_refund(http, url, order_id) for url in urls * 2]
            liked = [http.put(f"{chance.choice(urls)}/v1/products/A/likes/{number}") for number in (1, 1, 2)]
            payments = await asyncio.gather(*paid)
            assert sorted(one.status_code for one in payments) == [201, 409, 409, 409]
            refunds = await asyncio.gather(*claimed)
            assert {one.status_code for one in refunds} == {201}
            answers[order_id] = {one.content for one in refunds}
            assert {one.status_code for one in await asyncio.gather(*liked)} == {200}
    assert all(len(bodies) == 1 for bodies in answers.values())
    assert commerce.rows("SELECT likes FROM products") == [(2,)]
    await shop.drained()
    counted = shop.rows("--by", "product")
    assert [(row["orders"], row["refunds"], row["likes"]) for row in counted] == [(str(ORDERS), str(ORDERS), "2")]


async def _pay(http: httpx.AsyncClient, url: str, order_id: str, payment_id: str) -> httpx.Response:
    body = {"payment_id": payment_id, "outcome": "completed"}
    return await http.post(f"{url}/v1/orders/{order_id}/payments", json=body)


async def _refund(http: httpx.AsyncClient, url: str, order_id: str) -> httpx.Response:
    """One and the same call, whoever makes it."""
    body = {"order_id": order_id, "lines": LINES}
    return await http.post(f"{url}/v1/refunds", json=body, headers={"idempotency-key": order_id})


async def test_an_api_whose_database_goes_away_answers_503_and_comes_back_by_itself(
    mortal: PostgresServer, tmp_path: Path
) -> None:
    with closing(PostgresShop(mortal)) as commerce, shop_over(commerce, mortal.url("postgres"), tmp_path) as shop:
        api = shop.start("api")
        await api.is_up()
        mortal.stop_immediately()
        async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as http:
            for response in (await http.put("/v1/products/A", json=PRODUCT), await http.get("/v1/products/A")):
                assert (response.status_code, response.headers["retry-after"]) == (503, "1")
                assert response.json()["type"] == "urn:countinghouse:problem:storage-unavailable"
            assert (await http.get("/readyz")).status_code == 503
            await mortal.start_again()
            await until(lambda: _is_ready(shop), api)
            assert (await http.put("/v1/products/A", json=PRODUCT)).status_code == 201
        assert api.is_alive


async def _list_product(shop: Shop) -> None:
    async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as http:
        assert (await http.put("/v1/products/A", json=PRODUCT)).is_success


async def _is_ready(shop: Shop) -> bool:
    return await _answers(shop.api_url, "/readyz")


async def _answers(url: str, path: str = "/livez") -> bool:
    try:
        async with httpx.AsyncClient(base_url=url, timeout=5) as http:
            return (await http.get(path)).is_success
    except httpx.HTTPError:
        return False
