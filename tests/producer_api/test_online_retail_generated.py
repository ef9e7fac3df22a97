"""Generated files: whatever their rows say, every row is accounted for and the oracle agrees with what is sent."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer_api.online_retail import read_online_retail
from producer_api.online_retail_import import import_online_retail
from producer_api.online_retail_row import COLUMNS
from tests.retail_oracle import judge, oracle

from .bare_shop import BareShop

AWKWARD = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
Row = list[str]


def mostly(usual: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(usual, usual, usual, usual, usual, usual, AWKWARD)


NUMBERS = st.sampled_from(["1", "2", "3", "C1", "C2", "A1", "0001", "C", "c1"])
CODES = st.sampled_from(["10002", "15056BL", "15056bl", "POST", " M", "m", "é?&#%", "..", "a/b"])
NAMES = st.sampled_from(["", "LANTERN", "LANTERN ", "?", 'a "b", c', "two\nlines"])
QUANTITIES = st.integers(-20, 20).map(str) | st.sampled_from(["1000000", "-1000000", "1000001", "1.0", ""])
PRICES = st.decimals(-1, 100, places=3).map(str) | st.sampled_from(["0", "-0.0", "0.005", "1e2", "NaN", "9999999999"])
MOMENTS = st.sampled_from(
    [
        "2010-12-01 08:26:00",
        "2011-03-27 00:59:59",
        "2011-03-27 01:30:00",
        "2011-03-27 02:30:00",
        "2011-06-30 00:30:00",
        "2011-06-30 23:30:00",
        "2011-10-30 01:30:00",
        "2011-02-29 12:00:00",
        "1999-12-31 23:59:59",
    ]
)
CUSTOMERS = st.sampled_from(["", "17850.0", "17850", "13047.0", "a/b"])
ROWS = st.lists(
    st.one_of(
        st.tuples(
            mostly(NUMBERS),
            mostly(CODES),
            mostly(NAMES),
            mostly(QUANTITIES),
            mostly(MOMENTS),
            mostly(PRICES),
            mostly(CUSTOMERS),
            AWKWARD,
        ).map(list),
        st.lists(AWKWARD, max_size=9),
    ),
    max_size=25,
)


def write(folder: str, rows: list[Row]) -> Path:
    file = Path(folder) / "invoices.csv"
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text).writerows([COLUMNS, *rows])
    return file


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_every_row_is_accepted_or_refused_as_the_oracle_judges(rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write(folder, rows)
        retail = read_online_retail(file)
        judged = judge(file)
    assert list(retail.refused) == judged.refused
    accepted = {row: line for invoice in retail.invoices for row, line in zip(invoice.rows, invoice.lines, strict=True)}
    assert {row: (line.product_id, line.quantity, line.amount_minor) for row, line in accepted.items()} == {
        row.number: (row.product_id, row.quantity, row.amount_minor) for row in judged.accepted
    }
    assert retail.rows_read == judged.rows_read == retail.lines_accepted + len(retail.refused)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
async def test_what_is_sent_amounts_to_what_the_oracle_computes(rows: list[Row]) -> None:
    shop = BareShop()
    await shop.open()
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = write(folder, rows)
            account = await import_online_retail(file, shop.url, None)
            expected = oracle(file)
    finally:
        await shop.die()
    assert account.delivery.failed == 0
    assert account.rows_read == account.lines_accepted + account.rows_refused
    assert shop.figures() == expected
