"""The log is not the one it was: nothing is reset, it is said, and put back it goes on as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import pytest

from .invoices import parts
from .shop import Running, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


async def test_an_emptied_log_stops_relay_and_consumer_and_put_back_it_goes_on(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    (api, *rest) = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    await _stop(rest)
    _move(shop.data, shop.folder / "kept")

    (relay, consumer) = (shop.start("relay"), shop.start("consumer"))
    await shop.send(second.file)
    await _both_refuse(shop, relay, consumer)
    status = await shop.status()
    assert status.completeness.level == "broken"
    assert all(one.log_end == 0 for one in status.partitions)
    assert await shop.figures() == first.expected
    shown = shop.ok("status")
    assert "Nothing was reset. Put the log back" in shown
    assert "Restore the log, or run `countinghouse outbox reincarnate`" in shown
    said = shop.run("drain", "--timeout", "1")
    assert said.returncode == 1
    assert "Nothing was reset. Put the log back" in said.stderr

    await _stop([relay, consumer])
    _move(shop.folder / "kept", shop.data)
    shop.start("relay")
    shop.start("consumer")
    status = await shop.counted_exactly(second.expected)
    assert status.completeness.level == "ok"
    assert api.is_alive


async def test_a_log_swapped_under_running_processes_is_noticed_before_anything_is_counted_from_it(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    (api, relay, consumer) = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    _move(shop.data, shop.folder / "kept")
    await until(lambda: "log.db is gone" in consumer.said, consumer)
    other = Shop(shop.folder / "another shop")
    shop.started.append(other.start("relay"))
    await other.started[0].is_up()
    await until(lambda: _has_partitions(other))
    await _stop(other.started)
    _move(other.data, shop.data)
    await shop.send(second.file)
    for one in (relay, consumer):
        await until(lambda one=one: not one.is_alive, one)
        assert (one.process.returncode, "log.db was replaced by another file while it was in use" in one.said) == (
            1,
            True,
        )
    (relay, consumer) = (shop.start("relay"), shop.start("consumer"))
    await _both_refuse(shop, relay, consumer)
    assert await shop.figures() == first.expected

    await _stop([relay, consumer])
    _move(shop.folder / "kept", shop.data)
    shop.start("relay")
    shop.start("consumer")
    await shop.counted_exactly(second.expected)
    assert api.is_alive


def _has_partitions(shop: Shop) -> bool:
    """The file is there before its tables are."""
    made = shop.log_db.exists() and shop.sql(shop.log_db, "SELECT 1 FROM sqlite_master WHERE name = 'log_partition'")
    return bool(made and shop.sql(shop.log_db, "SELECT * FROM log_partition"))


async def _both_refuse(shop: Shop, relay: Running, consumer: Running) -> None:
    """Every lane that has sent and every partition that was counted says why it doesn't go on."""

    async def refuse() -> bool:
        status = await shop.status()
        lanes = all("no longer has that offset" in (lane.error or "") for lane in status.lanes if lane.sent)
        partitions = all(one.stopped is not None for one in status.partitions if one.position)
        return lanes and partitions

    await until(refuse, relay, consumer)
    assert relay.is_alive
    assert consumer.is_alive


async def _stop(processes: list[Running]) -> None:
    for one in processes:
        await one.is_up()
        assert one.stop() == 0


def _move(source: Path, target: Path) -> None:
    """The log's files, over those that are there."""
    target.mkdir(exist_ok=True)
    for file in target.glob("log.db*"):
        file.unlink()
    for file in source.glob("log.db*"):
        file.rename(target / file.name)
