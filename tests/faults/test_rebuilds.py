"""Rebuilds that die, and rebuilds that meet: the serving figures stay as they are, and one of them gets there."""

from __future__ import annotations

import json
import signal
import sqlite3

import pytest

from .invoices import parts
from .shop import Shop, excerpt_oracle, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

POINTS = [
    ("rebuild.after_chunk", 1),
    ("rebuild.after_chunk", 3),
    ("consumer.before_commit", 2),
    ("consumer.after_commit", 2),
    ("rebuild.before_switch", 1),
]
"""Where a rebuild dies without having switched; the second kind are its writes to the read model."""


async def _open_shop(shop: Shop) -> None:
    shop.start_line()
    await shop.send()
    await shop.counted_exactly()


async def test_a_rebuild_that_dies_anywhere_leaves_the_figures_as_they_are_and_runs_again(shop: Shop) -> None:
    await _open_shop(shop)
    for point, passing in POINTS:
        await _dies(shop, f"{point}:{passing}")
        assert (await shop.counted_exactly()).completeness.generation == 1
    await _rebuilt(shop)
    status = await shop.counted_exactly()
    assert status.completeness.generation == len(POINTS) + 2
    assert [one.state for one in status.generations] == ["retired", *["abandoned"] * len(POINTS), "serving"]
    held = shop.sql(shop.backoffice_db, "SELECT DISTINCT generation FROM sales ORDER BY generation")
    assert held == [(1,), (len(POINTS) + 2,)], "what the dead ones left is gone"


async def test_a_rebuild_that_dies_after_its_switch_has_switched(shop: Shop) -> None:
    await _open_shop(shop)
    await _dies(shop, "rebuild.after_switch:1")
    status = await shop.counted_exactly()
    assert [(one.number, one.state) for one in status.generations] == [(1, "retired"), (2, "serving")]
    await _rolled_back(shop)
    assert (await shop.counted_exactly()).completeness.generation == 1


async def test_of_two_rebuilds_at_once_the_second_is_refused_and_the_first_gets_there(shop: Shop) -> None:
    await _open_shop(shop)
    # Before its switch it writes nothing; after a chunk it might be stopped half-way in a transaction, the file locked.
    pause = {"COUNTINGHOUSE_CRASH_AT": "rebuild.before_switch:1:pause", "COUNTINGHOUSE_LEASE_TTL_S": "60"}
    first = shop.start("rebuild", **pause)
    await until(lambda: first.is_paused, first)
    for arguments in ((), ("--rollback",)):
        second = shop.run("rebuild", *arguments)
        assert second.returncode == 1
        assert second.stderr.startswith("a rebuild or rollback is running (rebuild-")
        assert second.stderr.count("\n") == 1
    await shop.counted_exactly()
    first.wake()
    assert first.process.wait(60) == 0
    assert (await shop.counted_exactly()).completeness.generation == 2


async def test_a_rebuild_that_slept_past_its_lease_does_not_switch_over_the_one_that_took_it(shop: Shop) -> None:
    (first_part, second_part) = parts(shop.folder, 2)
    shop.start_line()
    await shop.send(first_part.file)
    await shop.counted_exactly(first_part.expected)
    asleep = shop.start("rebuild", COUNTINGHOUSE_CRASH_AT="rebuild.before_switch:1:pause")
    await until(lambda: asleep.is_paused, asleep)
    await _rebuilt(shop)
    await shop.send(second_part.file)
    before = await shop.counted_exactly(second_part.expected)
    asleep.wake()
    assert asleep.process.wait(60) == 1
    after = await shop.counted_exactly(second_part.expected)
    assert after.completeness.generation == before.completeness.generation


async def test_figures_that_were_tampered_with_are_named_and_put_right_only_on_purpose(shop: Shop) -> None:
    await _open_shop(shop)
    tamper(shop)
    refused = shop.run("rebuild")
    assert refused.returncode == 1
    assert "1 differences from the serving figures:\n" in refused.stderr
    assert "gross_minor" in refused.stderr
    assert (await shop.status()).completeness.generation == 1
    reported = shop.run("rebuild", "--json")
    assert reported.returncode == 1
    lines = [json.loads(line) for line in reported.stdout.splitlines()]
    assert [one["said"] for one in lines if one["said"] != "progress"] == ["begun", "compared", "ended"]
    assert [one["metric"] for one in lines[-2]["differences"]] == ["gross_minor"]
    assert lines[-1]["outcome"] == "refused"
    shop.ok("rebuild", "--accept-differences", "a hand was in the till")
    assert await shop.figures() == excerpt_oracle()
    (serving,) = [one for one in (await shop.status()).generations if one.state == "serving"]
    assert "a hand was in the till" in serving.note


def tamper(shop: Shop) -> None:
    """Makes one figure wrong, behind everybody's back."""
    connection = sqlite3.connect(shop.backoffice_db, timeout=30)
    changed = connection.execute(
        "UPDATE sales SET gross_minor = gross_minor + 1 WHERE gross_minor = (SELECT max(gross_minor) FROM sales)"
    ).rowcount
    connection.commit()
    connection.close()
    assert changed == 1


async def _dies(shop: Shop, point: str) -> None:
    """At that crash point; the lease of one that died before holds it up for its time to live."""

    def dies() -> bool:
        done = shop.run("rebuild", COUNTINGHOUSE_CRASH_AT=point)
        assert done.returncode == -signal.SIGKILL or "a rebuild or rollback is running" in done.stderr, done.stderr
        return done.returncode == -signal.SIGKILL

    await until(dies)


async def _rebuilt(shop: Shop) -> None:
    await until(lambda: shop.run("rebuild").returncode == 0)


async def _rolled_back(shop: Shop) -> None:
    await until(lambda: shop.run("rebuild", "--rollback").returncode == 0)
