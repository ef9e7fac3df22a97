"""`countinghouse up` itself dies: no orphan stays, and a new one works at once."""

from __future__ import annotations

import psutil
import pytest

from .invoices import parts
from .shop import Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

PROCESSES = 5


async def test_a_killed_up_leaves_no_orphan_and_a_new_one_goes_on_at_once(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    up = shop.start("up")
    await shop.send(first.file)
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) == PROCESSES
    up.kill()
    heir = shop.start("up")
    await shop.send(second.file)
    await shop.counted_exactly(second.expected)
    await until(lambda: not any(one.is_running() for one in children), heir)
    assert len(psutil.Process(heir.process.pid).children(recursive=True)) == PROCESSES
    assert heir.stop() == 0


async def test_whatever_dies_under_up_is_started_again(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    up = shop.start("up")
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    before = psutil.Process(up.process.pid).children(recursive=True)
    for one in before:
        one.kill()
    await shop.send(second.file)
    await shop.counted_exactly(second.expected)

    async def are_five() -> bool:
        now = psutil.Process(up.process.pid).children(recursive=True)
        return len(now) == PROCESSES and not {one.pid for one in now} & {one.pid for one in before}

    await until(are_five, up)
    assert up.said.count("was ended by SIGKILL") == PROCESSES
    assert up.stop() == 0
