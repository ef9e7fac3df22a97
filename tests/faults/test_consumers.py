"""Consumers that sleep, are stopped in the middle of a batch, or stopped twice."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from backoffice.settings import Settings
from event_store.backoff import STOP_TIMEOUT_S

from .invoices import parts
from .shop import WAIT_S, Running, Shop, excerpt_oracle, until
from .test_crash_points import FIRST_BATCH

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

GRACE_S = float(Settings.model_fields["stop_grace_s"].default)
"""After that `up` would kill it. By itself it keeps to `STOP_TIMEOUT_S`; the rest is for a busy machine."""
MIDDLE = 40
"""Which commit of a consumer: beyond the one that each of its partitions begins with, and long before the last."""


async def _everything_is_in_the_log(shop: Shop) -> None:
    """The excerpt is sent and relayed, and nobody has counted any of it."""
    (api, relay) = (shop.start("api"), shop.start("relay"))
    assert (await shop.send()).delivery.failed == 0

    async def relayed() -> bool:
        lanes = (await shop.status()).lanes
        return not any(lane.waiting for lane in lanes)

    await until(relayed, api, relay)


async def test_a_consumer_that_slept_past_its_lease_counts_nothing_that_the_heir_has_counted(shop: Shop) -> None:
    await _everything_is_in_the_log(shop)
    # Behind its first batch the others are read and folded, and no transaction is open that would keep the heir out.
    pause = {"COUNTINGHOUSE_CRASH_AT": f"consumer.after_commit:{FIRST_BATCH}:pause"}
    asleep = shop.start("consumer", COUNTINGHOUSE_CONSUMER_NAME="asleep", **pause)
    await until(lambda: asleep.is_paused, asleep)
    shop.start("consumer", COUNTINGHOUSE_CONSUMER_NAME="heir")
    await shop.counted_exactly()
    asleep.wake()
    await until(lambda: "Another consumer had counted this already" in asleep.said, asleep)
    status = await shop.counted_exactly()
    assert sum(one.duplicates for one in status.partitions) == 0
    assert asleep.stop() == 0


async def test_a_consumer_stopped_in_the_middle_ends_its_batch_and_another_goes_on(shop: Shop) -> None:
    await _everything_is_in_the_log(shop)
    consumer = shop.start(
        "consumer", COUNTINGHOUSE_BATCH_RECORDS="5", COUNTINGHOUSE_CRASH_AT=f"consumer.before_commit:{MIDDLE}:pause"
    )
    await until(lambda: consumer.is_paused, consumer)
    before = _counted(shop)
    consumer.process.terminate()  # It hears of it when it wakes, before it has begun anything more.
    consumer.wake()
    assert consumer.process.wait(WAIT_S) == 0
    assert 0 < before < _counted(shop) < _records(shop)
    shop.start("consumer")
    await shop.counted_exactly(excerpt_oracle())


@pytest.mark.parametrize("role", ["api", "relay", "consumer"])
async def test_sigterm_while_a_database_is_busy_ends_cleanly_in_its_time_and_a_second_one_at_once(
    shop: Shop, role: str
) -> None:
    """Twice: once patiently, once with a second signal. What was in flight is neither lost nor counted twice."""
    file = {"api": shop.commerce_db, "relay": shop.log_db, "consumer": shop.backoffice_db}[role]
    line = dict(zip(("api", "relay", "consumer"), shop.start_line(), strict=True))
    for one in line.values():
        await one.is_up()
    await (
        shop.status()
    )  # Whoever looks first makes the tables that are still missing, which a locked file wouldn't let it.
    for twice, part in zip((True, False), parts(shop.folder, 2), strict=True):
        with shop.locked(file):
            sending = asyncio.create_task(shop.send(part.file))
            await _is_in_flight(shop, role, line[role])
            line[role].process.terminate()
            begun_s = time.monotonic()
            if twice:
                await asyncio.sleep(1)
                assert line[role].is_alive
                line[role].process.terminate()
            await until(lambda: not line[role].is_alive, line[role])
            took_s = time.monotonic() - begun_s
        if twice:
            assert (line[role].process.returncode, took_s < STOP_TIMEOUT_S) == (128 + signal.SIGTERM, True), took_s
        else:
            assert (line[role].process.returncode, took_s < GRACE_S) == (0, True), took_s
        line[role] = shop.start(role)
        await line[role].is_up()
        assert (await sending).delivery.failed == 0
        await shop.counted_exactly(part.expected)


async def _is_in_flight(shop: Shop, role: str, running: Running) -> None:
    """Returns when the process waits for the locked file with something that it has begun."""
    if role == "api":
        await asyncio.sleep(0.5)
        await running.is_up()  # Whatever was sent before this has been read by now.
        return

    async def begun() -> bool:
        status = await shop.status()
        if role == "relay":
            return any(lane.claimed for lane in status.lanes)
        return any(one.log_end > one.position for one in status.partitions)

    await until(begun, running)


def _counted(shop: Shop) -> int:
    return int(shop.sql(shop.backoffice_db, "SELECT coalesce(sum(next_offset), 0) FROM inbox_position")[0][0])


def _records(shop: Shop) -> int:
    return int(shop.sql(shop.log_db, "SELECT sum(end_offset) FROM log_partition")[0][0])
