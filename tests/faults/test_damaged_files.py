"""A file nobody may write to, a damaged one, one without its newest part: a clear sentence, and nothing is made up."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .invoices import parts
from .shop import LINE, Running, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

FILES = dict(zip(LINE, ("commerce.db", "log.db", "backoffice.db"), strict=True))
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1


def _without_privilege() -> None:
    """In the new process: permissions hold for root, too."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)


def _cut_in_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _no_database(file: Path) -> None:
    file.write_bytes(b"<html>404</html>" * 1000)


def _scribbled_over(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[100 : len(content) // 2] = b"\xa5" * (len(content) // 2 - 100)
    file.write_bytes(content)


async def _closed_shop(shop: Shop) -> None:
    """A shop with some figures, cleanly closed."""
    line = shop.start_line()
    await shop.send(parts(shop.folder, 2)[0].file)
    await shop.drained()
    for one in line:
        assert one.stop() == 0


async def test_a_process_refuses_a_file_that_it_may_not_write_to(shop: Shop) -> None:
    await _closed_shop(shop)
    for role, name in FILES.items():
        file = shop.data / name
        file.chmod(0o444)
        await _refuses(shop.start_after(_without_privilege, role), f"{file}: this user may not write to it.")
        file.chmod(0o644)
    shop.start_line()
    await shop.counted_exactly(parts(shop.folder, 2)[0].expected)


@pytest.mark.parametrize("damage", [_cut_in_half, _no_database, _scribbled_over])
async def test_a_process_refuses_a_damaged_file_and_goes_on_with_the_sound_one(
    shop: Shop, damage: Callable[[Path], None]
) -> None:
    await _closed_shop(shop)
    for role, name in FILES.items():
        file = shop.data / name
        sound = file.read_bytes()
        damage(file)
        process = shop.start(role)
        await _refuses(process, f"{file}: ")
        assert "PRAGMA integrity_check" in process.said
        asked = shop.run("figures" if role == "consumer" else "status")
        assert asked.returncode == 1
        assert asked.stderr.startswith(f"{file}: ")
        assert asked.stderr.count("\n") == 1
        for rest in shop.data.glob(f"{name}-*"):
            rest.unlink()
        file.write_bytes(sound)
    shop.start_line()
    await shop.counted_exactly(parts(shop.folder, 2)[0].expected)


async def _refuses(process: Running, sentence: str) -> None:
    """It ends by itself, with that sentence as the last it says."""
    await until(lambda: not process.is_alive, process)
    assert process.process.returncode == 1
    assert process.said.splitlines()[-1].startswith(sentence)


async def test_figures_that_lost_their_write_ahead_log_are_counted_again(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    await _power_cut_without_the_wal_of(shop, first.file, shop.backoffice_db)
    shop.start_line()
    await shop.counted_exactly(first.expected)
    await shop.send(second.file)
    await shop.counted_exactly(second.expected)


async def test_a_log_that_lost_its_write_ahead_log_is_refused(shop: Shop) -> None:
    (first, _) = parts(shop.folder, 2)
    await _power_cut_without_the_wal_of(shop, first.file, shop.log_db)
    (_, relay, consumer) = shop.start_line()

    async def refused() -> bool:
        status = await shop.status()
        return all(one.stopped for one in status.partitions if one.position) and all(
            lane.error for lane in status.lanes if lane.sent
        )

    await until(refused, relay, consumer)
    assert await shop.figures() == first.expected
    assert "Nothing was reset" in consumer.said


async def test_a_commerce_database_that_lost_its_write_ahead_log_is_refused_as_an_older_copy(shop: Shop) -> None:
    (first, _) = parts(shop.folder, 2)
    await _power_cut_without_the_wal_of(shop, first.file, shop.commerce_db)
    (_, relay, _) = shop.start_line()

    async def refused() -> bool:
        return any("older copy of itself" in (lane.error or "") for lane in (await shop.status()).lanes)

    await until(refused, relay)
    assert "`countinghouse outbox reincarnate`" in relay.said
    assert await shop.figures() == first.expected


async def _power_cut_without_the_wal_of(shop: Shop, file: Path, database: Path) -> None:
    """Everything is counted, everything dies, and one database is as its last checkpoint left it."""
    line = shop.start_line()
    for one in line:
        await one.is_up()
    before = _checkpointed(database)
    await shop.send(file)
    await shop.drained()
    for one in line:
        one.kill()
    wal = database.with_name(f"{database.name}-wal")
    assert wal.stat().st_size > 0
    for rest in database.parent.glob(f"{database.name}-*"):
        rest.unlink()
    await asyncio.to_thread(database.write_bytes, before)  # SQLite may have made another checkpoint meanwhile, or none.


def _checkpointed(database: Path) -> bytes:
    """The file, with all that is in the database."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            time.sleep(0.01)
        return database.read_bytes()
