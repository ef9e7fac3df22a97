"""The shop's half year through real processes, killed again and again: every figure equals the oracle's."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator

import pytest

from tests import retail_oracle
from tests.faults.shop import Shop, until

from .half_year import (
    KILLS,
    LONDON_DAYS,
    SEED,
    HalfYear,
    best,
    by_name,
    check_nothing_is_lost,
    check_product_days,
    columns,
    shared_file_or_copies,
    summed,
)

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

CLOCK_CHANGE = "2011-03-27"


@pytest.fixture(scope="module")
def half_year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HalfYear]:
    """The shop after the import and its kills, drained, with a line of processes running."""
    folder = tmp_path_factory.mktemp("half-year")
    shop = Shop(folder)
    print(f"seed {SEED}")  # noqa: T201 - pytest shows it beside a failure
    try:
        file = shared_file_or_copies(folder)
        one = HalfYear(shop, file, retail_oracle.judge(file))
        asyncio.run(one.import_under_kills())
        shop.ok("drain", "--timeout", "80")
        yield one
    finally:
        shop.close()
    assert shop.complaints() == []


def test_more_than_forty_processes_were_killed_in_the_middle_of_their_work(half_year: HalfYear) -> None:
    assert by_name(half_year.kills) == KILLS
    assert len({kill.pid for kill in half_year.kills}) == len(half_year.kills) >= 40
    assert all(kill.done > 0 for kill in half_year.kills)
    assert all(kill.events < half_year.events for kill in half_year.kills)
    assert asyncio.run(half_year.work_of("api")) == asyncio.run(half_year.work_of("relay")) == half_year.events


def test_every_figure_equals_the_oracle_to_the_last_penny(half_year: HalfYear) -> None:
    shop = half_year.shop
    cells = half_year.cells
    check_product_days(half_year)
    for by, keys in (("product", [0, 2]), ("day", [1, 2])):
        figures = shop.ok("figures", "--by", by, *LONDON_DAYS, "--format", "csv")
        assert columns(figures)[1:] == summed(cells, keys)
    figures = shop.ok("figures", "--by", "product,hour", *LONDON_DAYS, "--format", "csv")
    assert columns(figures)[1:] == summed(half_year.hours(), [0, 1, 2])


def test_nothing_is_lost_waiting_or_dead(half_year: HalfYear) -> None:
    status = check_nothing_is_lost(half_year)
    stamp = status["completeness"]
    repeats = sum(one["duplicates"] for one in status["partitions"])
    assert stamp["offset"] == sum(one["log_end"] for one in status["partitions"]) == half_year.events + repeats


def test_figures_are_explained_to_the_last_event(half_year: HalfYear) -> None:
    """The best day of the best seller, the worst refund, and the busiest product of the day the clocks changed."""
    cells = half_year.cells
    changed = {cell: figures for cell, figures in cells.items() if cell[1] >= CLOCK_CHANGE}
    day = min(cell[1] for cell in changed)
    asked = [
        (best(cells, lambda one: one.gross_minor), "gross_minor"),
        (best(cells, lambda one: one.refunded_minor), "refunded_minor"),
        (best({cell: one for cell, one in changed.items() if cell[1] == day}, lambda one: one.orders), "orders"),
        (best({cell: one for cell, one in changed.items() if cell[1] == day}, lambda one: one.orders), "units_sold"),
    ]
    for (product, on, _), metric in asked:
        (explained,) = json.loads(
            half_year.shop.ok("explain", "--product", product, "--day", on, "--metric", metric, *LONDON_DAYS, "--json")
        )
        expected = getattr(cells[product, on, "GBP"], metric)
        assert (explained["sum"], explained["figure"], explained["equal"]) == (expected, expected, True)
        assert sum(event["contribution"] for event in explained["events"]) == expected > 0
        assert len({event["id"] for event in explained["events"]}) == len(explained["events"])
        invoices = {row.invoice for row in half_year.judged.accepted if row.product_id == product}
        on_day = {
            invoice
            for invoice in invoices
            if retail_oracle.london_day(half_year.judged.earliest[invoice]).isoformat() == on
            and invoice.startswith("C") == (metric == "refunded_minor")
        }
        free = 0 if metric in ("orders", "units_sold") else _without_money(half_year, product, on_day)
        assert len(explained["events"]) == len(on_day) - free


def _without_money(half_year: HalfYear, product: str, invoices: set[str]) -> int:
    """Invoices whose lines of the product cost nothing: they add nothing, so they explain nothing."""
    costs = dict.fromkeys(invoices, 0)
    for row in half_year.judged.accepted:
        if row.product_id == product and row.invoice in costs:
            costs[row.invoice] += row.amount_minor
    return sum(cost == 0 for cost in costs.values())


def test_a_second_import_changes_no_figure(half_year: HalfYear) -> None:
    shop = half_year.shop
    before = shop.ok("figures", "--by", "product,day", *LONDON_DAYS, "--format", "csv")
    again = shop.start("import", "online-retail", str(half_year.file))
    assert again.process.wait(300) == 0, again.last_words
    shop.ok("drain", "--timeout", "80")
    assert shop.ok("figures", "--by", "product,day", *LONDON_DAYS, "--format", "csv") == before
    assert asyncio.run(half_year.work_of("api")) == half_year.events, "not one event was written"


def test_a_rebuild_comes_out_equal_from_archive_and_log_and_goes_back_again(half_year: HalfYear) -> None:
    """And one that is killed half-way leaves the figures as they are, and runs again."""
    shop = half_year.shop
    before = shop.ok("figures", "--by", "product,day", *LONDON_DAYS, "--format", "csv")

    def unchanged(generation: int) -> None:
        assert shop.ok("figures", "--by", "product,day", *LONDON_DAYS, "--format", "csv") == before
        assert json.loads(shop.ok("status", "--json"))["completeness"]["generation"] == generation

    died = shop.run("rebuild", COUNTINGHOUSE_CRASH_AT="rebuild.after_chunk:8")
    assert died.returncode == -signal.SIGKILL, died.stderr
    unchanged(1)

    archiver = shop.start("archiver", COUNTINGHOUSE_ARCHIVE_SEGMENT_RECORDS="50")
    asyncio.run(until(lambda: len(list((shop.data / "archive").glob("*/*/0*"))) == 12, archiver))
    assert archiver.stop() == 0
    rebuilt = shop.run("rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "all equal" in rebuilt.stderr
    unchanged(3)
    shop.ok("rebuild", "--rollback")
    unchanged(1)
