"""Rebuilds over the page: real processes that a real dashboard starts, and that die, are cancelled, or outlive it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from .shop import Running, Shop, excerpt_oracle, until
from .test_rebuilds import tamper

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SLOW = {"records_per_s": "1"}
"""So that it stands after its first batch."""
LONG_LEASES = {"COUNTINGHOUSE_LEASE_TTL_S": "120"}
"""Nobody is to wait for one to run out."""


@dataclass
class Page:
    shop: Shop
    dashboard: Running
    client: httpx.AsyncClient

    async def sends(self, act: str, **fields: str) -> httpx.Response:
        return await self.client.post("/rebuild", data={"act": act, **fields})

    async def starts(self, act: str = "rebuild", **fields: str) -> None:
        answer = await self.sends(act, **{"note": "prove it", **fields})
        assert (answer.status_code, answer.headers.get("location")) == (303, "/rebuild"), answer.text

    async def status(self) -> Any:
        return (await self.client.get("/api/rebuild")).raise_for_status().json()

    async def run(self) -> Any:
        return (await self.status())["run"]

    async def ends(self, state: str) -> Any:
        async def has_ended() -> bool:
            run = await self.run()
            return run is not None and run["state"] not in ("running", "cancelling")

        await until(has_ended, self.dashboard)
        run = await self.run()
        assert run["state"] == state, run
        return run

    async def text(self) -> str:
        return (await self.client.get("/rebuild")).raise_for_status().text

    async def stands(self) -> psutil.Process:
        """The process of a slow rebuild, once it has counted something."""

        async def has_counted() -> bool:
            run = await self.run()
            return bool(run and run["counted"])

        await until(has_counted, self.dashboard)
        return self.process()

    def process(self) -> psutil.Process:
        (found,) = psutil.Process(self.dashboard.process.pid).children()
        return found

    def audited(self) -> list[tuple[str, str, str]]:
        rows = json.loads(self.shop.ok("audit", "list", "--json"))
        return [(row["what"], row["who"], row["reason"]) for row in reversed(rows)]


@asynccontextmanager
async def opened(shop: Shop) -> AsyncIterator[Page]:
    """A shop that has counted everything, and its dashboard."""
    shop.settings = {**shop.settings, **LONG_LEASES}
    shop.start_line()
    await shop.send()
    await shop.counted_exactly()
    dashboard = shop.start("dashboard")
    await dashboard.is_up()
    address = f"http://127.0.0.1:{dashboard.port}"
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        yield Page(shop, dashboard, client)


async def test_a_rebuild_from_the_page_comes_out_equal_switches_and_rolls_back(shop: Shop) -> None:
    async with opened(shop) as page:
        assert "No rebuild is running" in await page.text()
        await page.starts()
        run = await page.ends("switched")
        assert (run["generation"], run["who"], run["note"]) == (2, "nobody", "prove it")
        assert run["counted"] == run["total"] > 0
        assert run["comparison"]["differing"] == 0
        assert run["comparison"]["rows"] > 0
        text = await page.text()
        assert "Rebuild has switched" in text
        assert "all equal" in text
        status = await shop.counted_exactly()
        assert status.completeness.generation == 2
        assert [one.note for one in status.generations if one.state == "serving"] == ["prove it (nobody)"]
        answer = await page.sends("rollback", note="not yet")
        assert answer.status_code == 422
        assert "tick the box" in answer.text
        await page.starts("rollback", note="it was better", sure="on")
        assert (await page.ends("switched"))["kind"] == "rollback"
        assert (await shop.counted_exactly()).completeness.generation == 1
        assert page.audited() == [
            ("rebuild.started", "nobody", "prove it"),
            ("rebuild.switched", "nobody", "prove it"),
            ("rollback.started", "nobody", "it was better"),
            ("figures.rolled_back", "nobody", "it was better"),
        ]


async def test_a_rebuild_that_is_killed_half_way_says_so_and_the_next_one_works_at_once(shop: Shop) -> None:
    async with opened(shop) as page:
        await page.starts(**SLOW)
        (await page.stands()).kill()
        run = await page.ends("failed")
        assert "was ended by SIGKILL" in run["error"]
        assert "Start it again" in run["error"]
        assert run["error"] in await page.text()
        states = [one["state"] for one in (await page.status())["generations"]]
        assert states == ["serving", "abandoned"]
        await page.starts()
        await page.ends("switched")
        assert (await shop.counted_exactly()).completeness.generation == 3
        assert [what for what, _, _ in page.audited()] == [
            *("rebuild.started", "rebuild.failed", "rebuild.started", "rebuild.switched")
        ]


async def test_a_cancelled_rebuild_leaves_no_process_no_lease_and_no_figures(shop: Shop) -> None:
    async with opened(shop) as page:
        await page.starts(**SLOW)
        process = await page.stands()
        assert "1 records/s" in await page.text()
        await page.starts("cancel")
        run = await page.ends("cancelled")
        assert "nothing was switched" in run["error"]
        assert not process.is_running()
        (_, abandoned) = (await page.status())["generations"]
        assert (abandoned["state"], abandoned["note"]) == ("abandoned", "prove it (nobody): cancelled by nobody")
        assert [what for what, _, _ in page.audited()] == ["rebuild.started", "rebuild.cancelled"]
        assert (await page.sends("cancel")).status_code == 409
        shop.ok("rebuild")


async def test_one_that_hears_nothing_is_killed_when_it_is_cancelled(shop: Shop) -> None:
    shop.settings = {"COUNTINGHOUSE_STOP_GRACE_S": "4"}
    async with opened(shop) as page:
        await page.starts(**SLOW)
        process = await page.stands()
        process.suspend()
        await page.starts("cancel")
        assert (await page.run())["state"] == "cancelling"
        await page.ends("cancelled")
        assert not process.is_running()
        assert [one["state"] for one in (await page.status())["generations"]] == ["serving", "abandoned"]
        shop.ok("rebuild")


async def test_differences_are_named_and_switched_only_with_a_reason(shop: Shop) -> None:
    async with opened(shop) as page:
        assert (await page.sends("accept", note="x", reason="y")).status_code == 422
        tamper(shop)
        await page.starts()
        run = await page.ends("refused")
        (difference,) = run["comparison"]["differences"]
        assert (difference["where"], difference["metric"]) == ("sales", "gross_minor")
        assert int(difference["serving"]) == int(difference["rebuilt"]) + 1
        text = await page.text()
        assert "Rebuild was refused" in text
        assert difference["product"] in text
        assert (await shop.status()).completeness.generation == 1
        assert (await page.sends("accept", note="x", reason=" ")).status_code == 422
        await page.starts("accept", reason="a hand was in the till")
        await page.ends("switched")
        assert await shop.figures() == excerpt_oracle()
        (serving,) = [one for one in (await shop.status()).generations if one.state == "serving"]
        assert serving.note == "prove it (nobody); differences accepted: a hand was in the till"
        assert [what for what, _, _ in page.audited()] == [
            *("rebuild.started", "rebuild.refused", "rebuild.started", "rebuild.switched")
        ]


async def test_of_two_at_once_the_second_is_refused_wherever_the_first_was_started(shop: Shop) -> None:
    async with opened(shop) as page:
        await page.starts(**SLOW)
        await page.stands()
        again = await page.sends("rebuild", note="me too")
        assert again.status_code == 409
        assert "A rebuild or rollback is running" in again.text
        assert "a rebuild or rollback is running" in shop.run("rebuild").stderr
        await page.starts("cancel")
        await page.ends("cancelled")
        elsewhere = shop.start("rebuild", "--records-per-s", "1")

        async def is_shown() -> bool:
            run = await page.run()
            return bool(run["process"] and run["counted"])

        await until(is_shown, elsewhere)
        assert "Runs elsewhere" in await page.text()
        assert (await page.sends("rebuild", note="me too")).status_code == 409
        assert (await page.sends("cancel")).status_code == 409
        assert elsewhere.stop() == 1
        assert "It was cancelled" in elsewhere.said
        assert page.audited()[-1][0] == "rebuild.cancelled"
        assert page.audited()[-1][1].startswith("command line (")
        await page.starts()
        await page.ends("switched")


@pytest.mark.parametrize("is_killed", [False, True])
async def test_the_end_of_the_dashboard_is_the_end_of_its_rebuild(shop: Shop, is_killed: bool) -> None:
    async with opened(shop) as page:
        await page.starts(**SLOW)
        process = await page.stands()
        if is_killed:
            page.dashboard.kill()
            await until(lambda: not process.is_running())
        else:
            assert page.dashboard.stop() == 0
            assert not process.is_running()
            assert page.audited()[-1] == ("rebuild.cancelled", "nobody", "the dashboard was stopped")
        assert (await shop.status()).completeness.generation == 1
        shop.ok("rebuild")
