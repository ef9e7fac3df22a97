"""The commerce database is put back from an older copy while the log knows later numbers."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from .invoices import Part, parts
from .shop import Running, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


async def _older_copy(shop: Shop, number: int = 4) -> tuple[list[Part], Running]:
    """A shop whose commerce database is an hour old; part 0 it has sent, part 1 it believes unsent, part 2 is new.

    Returns the parts and the relay that was started on it. Part 1 was sent and counted before the copy was put back.
    """
    sent = parts(shop.folder, number)
    (api, relay, consumer) = shop.start_line()
    await shop.send(sent[0].file)
    await shop.counted_exactly(sent[0].expected)
    assert relay.stop() == 0
    await shop.send(sent[1].file)
    await api.is_up()
    assert api.stop() == 0
    copy = shop.folder / "copy.db"
    shutil.copy(shop.commerce_db, copy)
    assert not _rests(shop.commerce_db), "a cleanly closed database is one file"

    relay = shop.start("relay")
    await shop.counted_exactly(sent[1].expected)
    assert relay.stop() == 0
    shutil.copy(copy, shop.commerce_db)
    assert consumer.is_alive

    relay = shop.start("relay")
    shop.start("api")
    return sent, relay


async def test_the_relay_refuses_and_after_a_new_incarnation_nothing_is_lost_or_counted_twice(shop: Shop) -> None:
    (sent, relay) = await _older_copy(shop)
    await shop.send(sent[2].file)
    await until(lambda: "older copy of itself" in relay.said, relay)
    shown = " ".join(shop.ok("status").split())
    assert "This database is an older copy of itself; nothing is sent." in shown
    assert "Stop the relay and run `countinghouse outbox reincarnate`" in shown
    refused = shop.run("outbox", "reincarnate")
    assert refused.returncode == 1
    assert "stop that relay" in refused.stderr
    before = (await shop.status()).lanes[0].source

    assert relay.stop() == 0
    for point in ("outbox.before_commit:2", "outbox.after_commit:2"):
        died = shop.run("outbox", "reincarnate", COUNTINGHOUSE_CRASH_AT=point)
        assert died.returncode == -signal.SIGKILL, died.stderr
        await asyncio.sleep(0.1)
    done = await _reincarnated(shop)
    assert f"{before.rpartition('/')[0]}/" in done
    relay = shop.start("relay")
    status = await shop.counted_exactly(sent[2].expected)
    assert {lane.failures for lane in status.lanes} == {0}
    assert status.completeness.level == "ok"
    await shop.send(sent[3].file)
    await shop.counted_exactly(sent[3].expected)
    assert not [one for one in (relay,) if not one.is_alive]


async def test_lanes_of_which_the_log_knows_no_more_go_on_meanwhile(shop: Shop) -> None:
    (sent, relay) = await _older_copy(shop, 30)
    for part in sent[2:12]:
        assert (await shop.send(part.file)).delivery.failed == 0

    async def settled() -> bool:
        lanes = (await shop.status()).lanes
        return any(lane.failures for lane in lanes) and all(lane.failures or not lane.waiting for lane in lanes)

    await until(settled, relay)
    lanes = (await shop.status()).lanes
    assert 0 < len([lane for lane in lanes if lane.failures]) < len(lanes)
    assert sum(lane.waiting for lane in lanes) > 0


async def _reincarnated(shop: Shop) -> str:
    said: list[str] = []

    def done() -> bool:
        ran = shop.run("outbox", "reincarnate")
        said.append(ran.stdout)
        return ran.returncode == 0

    await until(done)
    return said[-1]


def _rests(database: Path) -> list[Path]:
    return list(database.parent.glob(f"{database.name}-*"))
