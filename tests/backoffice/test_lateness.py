"""Whoever sees that figures are late is told why, and what to do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.lateness import delays
from event_store.audit import Entry
from event_store.pauses import LINE, Part
from event_store.record import Record, TopicPartition
from tests.web.shop import PARTITIONS, Shop, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
EVERY = [TopicPartition(topic, number) for topic, count in PARTITIONS.items() for number in range(count)]
ADA = Entry(who="ada", what="", reason="the broker moves")


async def said(shop: Shop) -> list[str]:
    return (await shop.pipeline.status()).reasons


async def test_what_no_relay_sends_says_that_one_is_to_be_started(shop: Shop) -> None:
    for product in "ABCDEFGH":
        shop.accepts(*viewed(AUTUMN, product))
    shop.clock.passes(10)
    assert await said(shop) == []
    shop.clock.passes(2)
    (reason,) = await said(shop)
    assert reason == (
        "8 events wait to be sent to catalog-events/0, catalog-events/1, the oldest for 12 s, "
        "and no relay has them. Start one: countinghouse relay"
    )


async def test_what_relays_have_and_do_not_send_in_time_says_how_fast_they_are(shop: Shop) -> None:
    pipeline = shop.pipeline
    for product in "ABCD":
        shop.accepts(*viewed(AUTUMN, product))
    await shop.sends()
    await shop.counts()
    shop.accepts(*viewed(AUTUMN, "A"))
    await pipeline.status()
    shop.clock.passes(20)
    (reason,) = delays(await pipeline.status())
    assert reason.startswith("1 event waits to be sent to catalog-events/")
    assert reason.endswith(", the oldest for 20 s, though relays are at work, 0.0 events/s of late")


async def test_what_no_consumer_counts_says_that_one_is_to_be_started(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.clock.passes(3700)
    (reason,) = await said(shop)
    assert reason.startswith("1 event waits to be counted in catalog-events/")
    assert reason.endswith(", the oldest for 3,700 s, and no consumer has them. Start one: countinghouse consumer")


async def test_what_consumers_have_and_do_not_count_in_time_says_how_fast_they_are(shop: Shop) -> None:
    pipeline = shop.pipeline
    await shop.leases.take([f"partition/{tp}" for tp in EVERY], "first", 900)
    await pipeline.status()
    for product in "ABCDEFGH":
        shop.accepts(*viewed(AUTUMN, product))
    await shop.sends()
    shop.clock.passes(20)
    (reason,) = delays(await pipeline.status())
    assert reason == (
        "8 events wait to be counted in catalog-events/0, catalog-events/1, the oldest for 20 s, "
        "though consumers are at work, 0.0 events/s of late, while 0.4 came"
    )


async def test_what_somebody_holds_still_or_the_log_refuses_has_that_reason_alone(shop: Shop) -> None:
    shop.accepts(*viewed(AUTUMN, "A"))
    (claimed,) = await shop.outbox.claim(await shop.outbox.hold_lanes("relay-1", 900))
    await shop.outbox.note_failure(claimed.lane, "the log is full", 5)
    shop.clock.passes(60)
    assert await said(shop) == [f"lane {claimed.lane.tp} failed 1 times: the log is full"]
    shop.accepts(*viewed(AUTUMN, "B"))
    await shop.pauses[Part.RELAY].pause(Part.RELAY, ADA)
    shop.clock.passes(60)
    (paused, _) = await said(shop)
    assert paused == "sending is paused since 2011-12-01 12:01:00 UTC by ada: the broker moves."


async def test_what_is_stopped_is_not_called_late_as_well(shop: Shop) -> None:
    tp = EVERY[0]
    await shop.log.append(tp, [Record(b"k", b"{")])
    await shop.read_model.note_stop(1, tp, "too many records can't be counted")
    shop.clock.passes(60)
    assert await said(shop) == [f"{tp} is stopped: too many records can't be counted"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("accepts"), st.sampled_from("ABCDE")),
        st.tuples(st.sampled_from(["sends", "counts"]), st.none()),
        st.tuples(st.just("passes"), st.sampled_from([1.0, 9.0, 12.0, 100.0])),
        st.tuples(st.just("takes"), st.sampled_from(EVERY)),
        st.tuples(st.sampled_from(["pause", "resume"]), st.sampled_from(LINE)),
        st.tuples(st.just("stops"), st.sampled_from(EVERY)),
    ),
    max_size=12,
)


async def step(shop: Shop, name: str, what: Any) -> None:
    match name:
        case "accepts":
            shop.accepts(*viewed(AUTUMN, what))
        case "passes":
            shop.clock.passes(what)
        case "takes":
            await shop.leases.take([f"partition/{what}"], "first", 15)
        case "pause" | "resume":
            if (await shop.pauses[what].paused(what) is None) == (name == "pause"):
                await getattr(shop.pauses[what], name)(what, ADA)
        case "stops":
            await shop.read_model.note_stop(1, what, "too many records can't be counted")
        case _:
            await getattr(shop, name)()


@settings(max_examples=60)
@given(STEPS)
def test_figures_have_a_reason_to_be_late_if_and_only_if_they_are(steps: list[tuple[str, Any]]) -> None:
    async def check() -> None:
        shop = Shop()
        await shop.open()
        for name, what in steps:
            await step(shop, name, what)
            status = await shop.pipeline.status()
            assert bool(status.reasons) == (status.completeness.level != "ok"), status

    asyncio.run(check())
