"""No room left: nothing is acknowledged that isn't kept, nothing is given up, and with room again it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from .invoices import parts
from .shop import Running, Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

ROOM_BYTES = 100_000
"""Past this place in a file nothing more is written when the disk is full. It is a place, and not what the file may
still grow by: a write-ahead log that is begun anew has room enough for all that is to come."""
DISK_BYTES = 16_000_000
MNT_DETACH = 2


@pytest.mark.parametrize("role", ["api", "relay", "consumer"])
async def test_a_process_without_room_for_its_file_goes_on_when_there_is_room(shop: Shop, role: str) -> None:
    """Its writes are refused by the system past a place that its file has long reached, in the middle of its work."""
    (first, second) = parts(shop.folder, 2)
    line = dict(zip(("api", "relay", "consumer"), shop.start_line(), strict=True))
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    _limit(line[role], ROOM_BYTES)
    sending = asyncio.create_task(shop.send(second.file))
    await until(lambda: "disk I/O error" in line[role].said, line[role])
    if role == "consumer":
        assert await shop.figures() != second.expected
    _limit(line[role], resource.RLIM_INFINITY)
    assert (await sending).delivery.failed == 0
    await shop.counted_exactly(second.expected)
    assert all(one.is_alive for one in line.values())


async def test_what_was_acknowledged_before_the_disk_was_full_survives_a_power_cut_there(shop: Shop) -> None:
    """Everything is killed while there is no room: what the importer was told of is there, and the rest comes."""
    (first, second) = parts(shop.folder, 2)
    line = shop.start_line()
    await shop.send(first.file)
    for one in line:
        _limit(one, ROOM_BYTES)
    sending = asyncio.create_task(shop.send(second.file))
    await until(lambda: any("disk I/O error" in one.said for one in line), *line)
    for one in line:
        one.kill()
    shop.start_line()
    assert (await sending).delivery.failed == 0
    await shop.counted_exactly(second.expected)


async def test_a_shop_on_a_disk_that_is_full_goes_on_when_room_is_made(shop: Shop, small_disk: SmallDisk) -> None:
    (first, second) = parts(shop.folder, 2)
    line = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    small_disk.fill(line)
    sending = asyncio.create_task(shop.send(second.file))
    await until(lambda: "is full" in line[0].said or "disk I/O error" in line[0].said, *line)
    await asyncio.sleep(1)
    assert not sending.done()
    assert "Complete up to" in shop.ok("status")
    small_disk.make_room(line)
    assert (await sending).delivery.failed == 0
    await shop.counted_exactly(second.expected)
    for one in line:
        assert one.stop() == 0


@dataclass
class SmallDisk:
    """A disk of a few megabytes at `folder`; where this user may not mount one, the files there may not grow."""

    folder: Path
    is_mounted: bool

    def fill(self, line: Sequence[Running]) -> None:
        if not self.is_mounted:
            for one in line:
                _limit(one, ROOM_BYTES)
            return
        with (self.folder / "filler").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(bytes(1024))

    def make_room(self, line: Sequence[Running]) -> None:
        (self.folder / "filler").unlink(missing_ok=True)
        for one in line:
            _limit(one, resource.RLIM_INFINITY)


@pytest.fixture
def small_disk(shop: Shop) -> Iterator[SmallDisk]:
    shop.data.mkdir()
    system = ctypes.CDLL(None)
    options = f"size={DISK_BYTES}".encode()
    is_mounted = system.mount(b"tmpfs", bytes(shop.data), b"tmpfs", 0, options) == 0
    yield SmallDisk(shop.data, is_mounted)
    shop.close()
    if is_mounted:
        assert system.umount2(bytes(shop.data), MNT_DETACH) == 0


def _limit(process: Running, size_bytes: int) -> None:
    psutil.Process(process.process.pid).rlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
