"""The importer against the real API: what its outbox holds is what the oracle computes from the file."""

from __future__ import annotations

import asyncio
import csv
from datetime import datetime
from pathlib import Path

import pytest

from producer_api.crew import Phase, Progress
from producer_api.online_retail_import import import_online_retail
from producer_api.online_retail_row import COLUMNS
from tests.retail_oracle import EXCERPT, oracle

from .real_shop import RealShop


async def test_the_excerpt_is_recorded_to_the_last_penny(real_shop: RealShop) -> None:
    account = await import_online_retail(EXCERPT, real_shop.url, None)
    assert real_shop.figures() == oracle(EXCERPT)
    assert account.delivery.failed == 0
    assert real_shop.kinds() == {
        "ProductListed": account.delivery.products,
        "PaymentCompleted": account.delivery.orders,
        "PaymentRefunded": account.delivery.refunds,
    }


async def test_a_second_import_of_the_same_file_records_no_event(real_shop: RealShop) -> None:
    await import_online_retail(EXCERPT, real_shop.url, None)
    events = real_shop.events()
    account = await import_online_retail(EXCERPT, real_shop.url, None)
    assert real_shop.events() == events
    assert account.delivery.replayed == account.delivery.orders + account.delivery.refunds


async def test_a_second_import_after_the_kept_answers_are_forgotten_records_no_event(real_shop: RealShop) -> None:
    await import_online_retail(EXCERPT, real_shop.url, None)
    events = real_shop.events()
    await real_shop.forget_answers()
    account = await import_online_retail(EXCERPT, real_shop.url, None)
    assert real_shop.events() == events
    assert account.delivery.failed == 0


async def test_an_import_killed_half_way_and_run_again_records_each_invoice_once(real_shop: RealShop) -> None:
    half_way = asyncio.Event()

    def watch(progress: Progress) -> None:
        if progress.phase is Phase.INVOICES:
            half_way.set()

    importing = asyncio.create_task(import_online_retail(EXCERPT, real_shop.url, None, connections=4, progress=watch))
    await half_way.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert real_shop.figures() != oracle(EXCERPT)
    await import_online_retail(EXCERPT, real_shop.url, None)
    assert real_shop.figures() == oracle(EXCERPT)


async def test_an_api_restarted_under_the_import_records_each_invoice_once(real_shop: RealShop) -> None:
    importing = asyncio.create_task(import_online_retail(EXCERPT, real_shop.url, None))
    for events in (50, 200, 400, 515, 530):
        while len(real_shop.events()) < events:
            await asyncio.sleep(0.002)
        await real_shop.die()
        await asyncio.sleep(0.02)
        await real_shop.open()
    account = await importing
    assert account.delivery.failed == 0
    assert real_shop.figures() == oracle(EXCERPT)


async def test_stock_codes_that_a_path_could_spoil_arrive_as_written(real_shop: RealShop, tmp_path: Path) -> None:
    codes = [" M", "M ", "m", "é£", "a b", "100%", "?q=1", "#1", "a+b", "%2F", "...", "&;=", "\\", "x" * 64, "日本"]
    rows = [("1", code, "", "1", "2011-01-04 10:00:00", "1.00", "", "") for code in codes]
    file = tmp_path / "invoices.csv"
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text).writerows([COLUMNS, *rows])
    account = await import_online_retail(file, real_shop.url, None)
    assert account.delivery.failures == {}
    listed = {event["data"]["product_id"] for event in real_shop.events() if "ProductListed" in event["type"]}
    assert listed == set(codes)
    assert [cell[0] for cell in real_shop.figures()] == sorted(codes)


async def test_an_invoice_of_the_future_is_refused_by_the_api_and_told(real_shop: RealShop, tmp_path: Path) -> None:
    year = datetime.now().year + 2  # noqa: DTZ005
    row = ("7", "POST", "POSTAGE", "1", f"{year}-01-04 10:00:00", "1.00", "", "")
    file = tmp_path / "invoices.csv"
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text).writerows([COLUMNS, row])
    account = await import_online_retail(file, real_shop.url, None)
    assert account.delivery.failed == 1
    assert "422 A field is not valid" in account.delivery.failures[1]
    assert "/at" in account.delivery.failures[1]
    assert real_shop.kinds() == {"ProductListed": 1}
