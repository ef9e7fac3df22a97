"""Records that somebody puts straight into the log of a running shop: repeated, reversed, late, malformed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from event_store.codec import Codec
from event_store.envelope import format_time, stamp
from event_store.events import Line, PaymentCompleted
from event_store.record import Record, TopicPartition
from event_store.sqlite_log import SqliteLog
from tests.event_store.records import AT_TEXT, BAD, GOOD, READ_OVER, swapped

from .shop import Row, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

ORDERS = [TopicPartition("order-events", number) for number in range(6)]
NOON = datetime(2011, 3, 4, 12, 0, tzinfo=UTC)
SEED = 7
CODEC = Codec()


@dataclass(frozen=True)
class Sale:
    """A payment of one line, as another producer writes it."""

    product_id: str
    amount_minor: int
    at: datetime
    sequence: int | None
    source: str

    def record(self) -> Record:
        payload = PaymentCompleted("o", "p", "GBP", [Line(self.product_id, 1, self.amount_minor)], None)
        draft = CODEC.draft(payload, self.at).payload
        if self.sequence is None:
            return Record(b"o", b'%b,"source":"%b"}' % (draft[:-1], self.source.encode()))
        return Record(b"o", stamp(draft, self.source, self.sequence))


def sales(count: int, days: int) -> list[Sale]:
    """Half of them with a place in a lane, half known by their ids alone."""
    chance = random.Random(SEED)
    return [
        Sale(
            product_id=f"P{chance.randrange(9)}",
            amount_minor=chance.randrange(1, 10_000),
            at=NOON - timedelta(days=chance.randrange(days), minutes=chance.randrange(720)),
            sequence=number // 2 + 1 if number % 2 else None,
            source="/till/7" if number % 2 else "/web",
        )
        for number in range(count)
    ]


def figures_of(sold: Sequence[Sale]) -> list[Row]:
    """By product and day in London, which is on UTC in March until the 27th."""
    orders: Counter[tuple[str, str]] = Counter()
    gross: Counter[tuple[str, str]] = Counter()
    for one in sold:
        cell = (one.product_id, one.at.date().isoformat())
        orders[cell] += 1
        gross[cell] += one.amount_minor
    return [(*cell, "GBP", orders[cell], orders[cell], gross[cell], 0, 0, 0, gross[cell]) for cell in sorted(orders)]


async def _append(shop: Shop, tp: TopicPartition, records: Sequence[Record]) -> int:
    """As another process does."""
    log = SqliteLog(shop.log_db)
    try:
        return await log.append(tp, records)
    finally:
        await log.close()


async def _running(shop: Shop, **environment: str) -> None:
    """Only what counts: nothing comes but what a test appends."""
    relay = shop.start("relay")
    await relay.is_up()
    consumer = shop.start("consumer", **environment)
    await consumer.is_up()
    await until(lambda: shop.sql(shop.log_db, "SELECT count(*) FROM log_partition") == [(12,)], consumer)


async def test_records_repeated_tenfold_reversed_and_a_week_late_are_counted_once_each(shop: Shop) -> None:
    await _running(shop)
    sold = sales(200, days=8)
    records = [one.record() for one in sold]
    chance = random.Random(SEED)
    await _append(shop, ORDERS[0], records[::-1])
    for _ in range(9):
        again = records[:]
        chance.shuffle(again)
        await _append(shop, ORDERS[0], again)
        await asyncio.sleep(0.05)  # so that some come in batches of their own
    status = await shop.drained()
    assert await shop.figures() == figures_of(sold)
    assert sum(one.duplicates for one in status.partitions) == 9 * len(records)
    assert (status.completeness.missing, status.completeness.parked) == (0, 0)
    ranges = shop.sql(shop.backoffice_db, "SELECT source, first_sequence, last_sequence FROM event_handled")
    assert ranges == [("/till/7", 1, 100)]


async def test_every_malformed_record_becomes_a_dead_letter_and_its_good_neighbours_are_counted(shop: Shop) -> None:
    await _running(shop)
    kinds = {name: kind for name, kind in BAD.items() if name != "future time"}
    kinds["ten minutes ahead"] = (swapped(AT_TEXT, _in_ten_minutes()), "FUTURE_TIME")
    sold = sales(len(kinds), days=3)
    bad: dict[int, tuple[bytes | None, str]] = {}
    mixed: list[Record] = []
    for number, ((spoil, reason), good) in enumerate(zip(kinds.values(), sold, strict=True)):
        raw = _of_its_own_lane(spoil(GOOD), number)
        bad[2 * number] = (raw, reason)
        mixed += [Record(None if number % 3 else b"\xff\x00", raw), good.record()]
    first = await _append(shop, ORDERS[3], mixed)
    status = await shop.drained()
    assert await shop.figures() == figures_of(sold)

    statement = "SELECT record_offset, raw, reason FROM dead_letter WHERE generation = 1 ORDER BY record_offset"
    found = {offset - first: (raw, reason) for offset, raw, reason in shop.sql(shop.backoffice_db, statement)}
    assert found == bad
    assert (status.completeness.parked, status.completeness.level) == (len(kinds), "ok")
    assert {one.reason for one in status.dead_letters} == {reason for _, reason in bad.values()}
    assert all(one.is_alive for one in shop.started)

    shown = shop.ok("status")
    assert f"{len(kinds)} parked" in shown
    assert "Compared" in shop.run("rebuild").stderr
    assert (await shop.status()).completeness.generation == 2
    assert await shop.figures() == figures_of(sold)
    explained = shop.run("explain", "--product", sold[0].product_id, "--day", "2011-03-04", "--metric", "gross_minor")
    assert (explained.returncode, explained.stderr) == (0, "")


def _in_ten_minutes() -> bytes:
    return format_time(datetime.now(UTC) + timedelta(minutes=10)).encode()


def _of_its_own_lane(raw: bytes | None, number: int) -> bytes | None:
    """The first of another source, where it can be read at all: one lane's seventh event a second time is none."""
    if raw is None:
        return None
    first = raw.replace(b'"sequence":"0000000000000007"', b'"sequence":"0000000000000001"')
    return first.replace(b'"/countinghouse/commerce/1"', b'"/elsewhere/%d"' % number)


async def test_a_record_that_says_the_same_in_other_words_is_the_same_event(shop: Shop) -> None:
    await _running(shop)
    await _append(shop, ORDERS[1], [Record(b"o", spell(GOOD)) for spell in READ_OVER.values()] + [Record(None, GOOD)])
    status = await shop.drained()
    assert sum(one.duplicates for one in status.partitions) == len(READ_OVER)
    assert [row[3:6] for row in await shop.figures("product", "day")] == [(1, 2, 2550), (1, 6, 1530)]


async def test_nothing_but_poison_stops_its_partition_and_skips_nothing(shop: Shop) -> None:
    """One partition says why it stopped, the others go on; let through on purpose, every record is kept."""
    await _running(shop)
    await _append(shop, ORDERS[2], [Record(b"o", b"not an event %d" % number) for number in range(150)])
    sold = sales(50, days=2)
    await _append(shop, ORDERS[4], [one.record() for one in sold])

    async def stopped() -> bool:
        return [one.partition for one in (await shop.status()).partitions if one.stopped] == [2]

    consumer = shop.started[-1]
    await until(stopped, consumer)
    furthest = "SELECT max(next_offset) FROM inbox_position"
    await until(lambda: shop.sql(shop.backoffice_db, furthest) == [(len(sold),)], consumer)
    status = await shop.status()
    (poisoned,) = [one for one in status.partitions if one.stopped]
    assert (poisoned.topic, poisoned.position, poisoned.dead, poisoned.lag_events) == ("order-events", 0, 0, 150)
    assert status.completeness.level == "broken"
    assert await shop.figures() == figures_of(sold)
    shown = shop.ok("status")
    assert "order-events/2 is stopped: order-events/2: 150 of the last 10000 records before offset 150" in shown
    assert "COUNTINGHOUSE_DEAD_LETTER_LIMIT" in shown
    assert consumer.stop() == 0

    shop.start("consumer", COUNTINGHOUSE_DEAD_LETTER_LIMIT="1000")
    status = await shop.drained()
    assert (status.completeness.parked, status.completeness.level) == (150, "ok")
    assert await shop.figures() == figures_of(sold)
    kept = shop.sql(shop.backoffice_db, "SELECT raw FROM dead_letter ORDER BY record_offset")
    assert kept == [(b"not an event %d" % number,) for number in range(150)]
