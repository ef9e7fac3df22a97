"""Commerce in PostgreSQL where connections break in the middle of a COMMIT, and where several processes share it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from event_store.codec import Codec
from event_store.errors import StorageUnavailable
from producer_api import postgres_group
from producer_api.commerce import (
    Answer,
    BasketLine,
    Command,
    Commerce,
    GiveRefund,
    IntakeReport,
    Like,
    ListProduct,
    Once,
    Pay,
    PlaceOrder,
    RecordView,
    SetLike,
    TakeIn,
)
from producer_api.events import judge
from producer_api.refusals import Refused
from tests.producer_api.api.counter import Books
from tests.samples import SAMPLES
from tests.servers.commerce import PostgresShop
from tests.servers.postgres import NEWEST, PostgresServer
from tests.servers.proxy import Break, Proxy

AT = datetime(2026, 1, 1, tzinfo=UTC)
CODEC = Codec()
LINES = [BasketLine("lantern", 2, 500)]
SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION slow()
"""

Open = Callable[..., Awaitable[Commerce]]


def is_commit(sent: bytes) -> bool:
    return b"COMMIT\0" in sent


@pytest.fixture
def shop(postgres_shop: Callable[[int], PostgresShop]) -> PostgresShop:
    one = postgres_shop(NEWEST)
    one.empty()
    return one


@pytest.fixture
async def open_commerce(shop: PostgresShop) -> AsyncIterator[Open]:
    """As one more process would; `port`: of what stands before the server."""
    opened: list[Commerce] = []

    async def open_one(port: int = 0) -> Commerce:
        opened.append(shop.commerce(port=port))
        await opened[-1].prepare()
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()
    with shop.snapshot() as rows:
        Books(rows).check()


@pytest.fixture
async def proxy(postgres: PostgresServer) -> AsyncIterator[Proxy]:
    async with Proxy(postgres.port) as one:
        yield one


def event(number: int) -> bytes:
    sample = json.loads(SAMPLES["com.countinghouse.catalog.ProductView.v1"])
    return json.dumps({**sample, "source": "/search", "id": str(number)}).encode()


def take_in(*numbers: int) -> TakeIn:
    return TakeIn([judge(CODEC, event(number), 2**60) for number in numbers])


def everything(tag: str) -> list[Command]:
    """One call of each kind, of which each makes one event, but for the order."""
    return [
        ListProduct(f"product-{tag}", "Heart", 250, "GBP"),
        RecordView("lantern", tag, AT),
        SetLike("lantern", tag, liked=True),
        PlaceOrder(f"order-{tag}", None, None, LINES),
        GiveRefund(f"refund-{tag}", None, "GBP", LINES, AT),
        take_in(int(tag)),
    ]


def told(shop: PostgresShop) -> Counter[str]:
    """How many events there are of each type."""
    return Counter(json.loads(payload)["type"].split(".")[-2] for (payload,) in shop.rows("SELECT payload FROM outbox"))


async def answered(commerce: Commerce, command: Command, once: Once | None = None) -> Answer | Exception:
    try:
        return await commerce.perform(command, once)
    except Exception as error:
        return error


async def all_answered(commerce: Commerce, commands: Sequence[Command]) -> list[Answer]:
    """Each with a success."""
    answers = await asyncio.gather(*(commerce.perform(command) for command in commands))
    assert {answer.status // 100 for answer in answers} == {2}
    return list(answers)


@pytest.mark.parametrize("arrives", [False, True])
async def test_a_connection_cut_inside_a_commit_costs_nobody_his_answer_and_doubles_nothing(
    open_commerce: Open, shop: PostgresShop, proxy: Proxy, arrives: bool
) -> None:
    commerce = await open_commerce(proxy.port)
    await commerce.perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    proxy.breaks = Break(is_commit, arrives, most=1)
    answers = await all_answered(commerce, everything("1"))
    assert proxy.breaks.broken == 1
    assert not any(answer.replayed for answer in answers)
    like = msgspec.json.decode(answers[2].body, type=Like)
    assert (like.changed, like.likes) == (True, 1)
    assert told(shop) == {"ProductListed": 2, "ProductView": 2, "LikeChanged": 1, "PaymentRefunded": 1}


@pytest.mark.parametrize("arrives", [False, True])
async def test_a_commit_that_told_nothing_is_done_again(
    open_commerce: Open, shop: PostgresShop, proxy: Proxy, arrives: bool
) -> None:
    commerce = await open_commerce(proxy.port)
    await commerce.perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    proxy.breaks = Break(is_commit, arrives, most=1)
    order = PlaceOrder("order", None, None, LINES)
    answer = await commerce.perform(order, Once("key", "POST /v1/orders", b"body"))
    assert (answer.status, proxy.breaks.broken) == (201, 1)
    assert shop.rows("SELECT order_id FROM orders") == [("order",)]


async def test_a_commit_that_goes_on_after_its_connection_was_lost_is_waited_for(
    open_commerce: Open, shop: PostgresShop, proxy: Proxy
) -> None:
    commerce = await open_commerce(proxy.port)
    await commerce.perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    shop.execute(SLOW_COMMIT)
    committing = asyncio.Event()

    def note(sent: bytes) -> bool:
        if is_commit(sent):
            committing.set()
        return False

    try:
        proxy.breaks = Break(note, arrives=True)
        viewing = asyncio.create_task(commerce.perform(RecordView("lantern", "visitor", AT)))
        await committing.wait()
        await asyncio.sleep(0.1)
        assert proxy.cut() >= 1
        assert (await viewing).status == 202
        assert told(shop)["ProductView"] == 1
    finally:
        shop.execute("DROP FUNCTION slow CASCADE")


async def test_a_commit_that_can_not_be_read_back_in_time_is_left_to_the_callers_repeat(
    open_commerce: Open, shop: PostgresShop, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_group, "READ_BACK_S", 0.3)
    commerce = await open_commerce(proxy.port)
    await commerce.perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    breaks = Break(lambda sent: is_commit(sent) or (breaks.broken > 0 and b"BEGIN" in sent), arrives=True)
    proxy.breaks = breaks
    refund = GiveRefund("refund", None, "GBP", LINES, AT)
    once = Once("key", "POST /v1/refunds", b"body")
    with pytest.raises(StorageUnavailable):
        await commerce.perform(refund, once)
    proxy.breaks = None
    again = await commerce.perform(refund, once)
    assert (again.status, again.replayed) == (201, True)
    assert told(shop)["PaymentRefunded"] == 1


async def test_a_connection_cut_before_the_commit_is_told_at_once_and_nothing_was_kept(
    open_commerce: Open, shop: PostgresShop, proxy: Proxy
) -> None:
    commerce = await open_commerce(proxy.port)
    await commerce.perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    proxy.breaks = Break(lambda sent: b"specversion" in sent, arrives=True, most=1)  # The rows of the outbox.
    outcomes = await asyncio.gather(*(answered(commerce, command) for command in everything("1")))
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert told(shop) == {"ProductListed": 1}
    await all_answered(commerce, everything("1"))


async def test_a_group_that_deadlocks_with_somebody_is_done_again_and_every_call_answered(
    open_commerce: Open, shop: PostgresShop
) -> None:
    commerce = await open_commerce()
    await commerce.perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    await commerce.perform(PlaceOrder("order", None, None, LINES))
    other = await asyncpg.connect(shop.url.replace("+asyncpg", ""))
    async with other.transaction():
        await other.execute("SELECT 1 FROM orders WHERE order_id = 'order' FOR UPDATE")
        group: list[Command] = [SetLike("lantern", "user", liked=True), Pay("order", "payment", "completed", AT)]
        performing = asyncio.create_task(all_answered(commerce, group))
        await asyncio.sleep(0.2)
        # The group has waited for longer, so it is the one that the server ends.
        await other.execute("UPDATE products SET price_minor = 300 WHERE product_id = 'lantern'")
    await performing
    await other.close()
    assert shop.rows("SELECT price_minor, likes FROM products") == [(300, 1)]
    assert told(shop) == {"ProductListed": 1, "LikeChanged": 1, "PaymentCompleted": 1}


PROCESSES = 3
ROUNDS = 12
CALLS = 60
PRODUCTS = ("lantern", "heart", "bunting")
USERS = ("a", "b")
ORDERS = tuple(f"order-{number}" for number in range(6))
PAID = BasketLine("lantern", 4, 400)


def a_call(chance: random.Random, number: int) -> tuple[Command, Once | None]:
    """One of few things that many do at once."""
    order_id = chance.choice(ORDERS)
    several: list[Command] = [
        ListProduct(chance.choice(PRODUCTS), "Lantern", chance.randrange(3), "GBP"),
        RecordView("lantern", str(number), AT),
        SetLike("lantern", chance.choice(USERS), liked=chance.random() < 0.5),
        PlaceOrder(order_id, None, None, [PAID]),
        Pay(order_id, f"payment-{chance.randrange(8)}", chance.choice(["completed", "completed", "failed"]), AT),
        GiveRefund(f"refund-{number}", order_id, None, [BasketLine("lantern", 1, chance.randrange(200))], AT),
        take_in(*chance.sample(range(20), 3)),
    ]
    command = chance.choice(several)
    key = f"{type(command).__name__}-{chance.randrange(3)}"
    body = msgspec.msgpack.encode(command) if not isinstance(command, TakeIn) else b""
    return command, Once(key, "POST", body) if chance.random() < 0.3 and body else None


@pytest.mark.parametrize("seed", range(3))
async def test_processes_that_share_a_database_keep_every_law_over_the_same_keys(
    open_commerce: Open, shop: PostgresShop, seed: int
) -> None:
    chance = random.Random(seed)
    processes = [await open_commerce() for _ in range(PROCESSES)]
    await processes[0].perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    answers: dict[Once, set[bytes]] = {}
    accepted: Counter[str] = Counter()
    for round_ in range(ROUNDS):
        calls = [a_call(chance, round_ * CALLS + number) for number in range(CALLS)]
        outcomes = await asyncio.gather(*(answered(chance.choice(processes), *call) for call in calls))
        assert {type(outcome) for outcome in outcomes} <= {Answer, Refused}
        for (command, once), outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, Answer) and once is not None:
                answers.setdefault(once, set()).add(outcome.body)
            if isinstance(outcome, Answer) and isinstance(command, TakeIn):
                results = msgspec.json.decode(outcome.body, type=IntakeReport).results
                accepted.update(str(result.id) for result in results if result.status == "accepted")
        with shop.snapshot() as rows:
            Books(rows).check()
    assert all(len(bodies) == 1 for bodies in answers.values())
    assert accepted == {str(number): 1 for number in range(20)}
    [(units, amount_minor)] = shop.rows(MOST_REFUNDED)
    assert units <= PAID.quantity
    assert amount_minor <= PAID.amount_minor
    assert shop.rows("SELECT count(*) FROM payments") == [(len(ORDERS),)]


MOST_REFUNDED = """
SELECT max(units), max(amount_minor) FROM (
    SELECT sum(quantity) AS units, sum(amount_minor) AS amount_minor
    FROM refunds JOIN refund_lines USING (refund_id) GROUP BY order_id) AS of_orders
"""


async def test_refunds_that_meet_over_several_processes_give_back_exactly_what_was_paid(
    open_commerce: Open, shop: PostgresShop
) -> None:
    processes = [await open_commerce() for _ in range(PROCESSES)]
    await processes[0].perform(ListProduct("lantern", "Lantern", 250, "GBP"))
    for number in range(ROUNDS):
        order_id = f"order-{number}"
        await processes[0].perform(PlaceOrder(order_id, None, None, [PAID]))
        await processes[0].perform(Pay(order_id, order_id, "completed", AT))
        refunds = [GiveRefund(f"{order_id}-{n}", order_id, None, [BasketLine("lantern", 1, 100)], AT) for n in range(9)]
        outcomes = await asyncio.gather(*(answered(processes[n % 3], one) for n, one in enumerate(refunds)))
        assert Counter(type(outcome) for outcome in outcomes) == {Answer: 4, Refused: 5}
    assert shop.rows(MOST_REFUNDED) == [(PAID.quantity, PAID.amount_minor)]
