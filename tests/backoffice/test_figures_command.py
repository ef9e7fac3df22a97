"""The forms in which `countinghouse figures` prints an answer."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from backoffice.commands.figures import Format, deliver, figures_as, question_from_options
from backoffice.failures import CommandFailed
from projections.figures import Question, figures
from projections.periods import EndsBeforeStart, Range, UnreadableDay
from tests.web.shop import Shop, busy_days, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
HEADER = (
    "product_id,day,currency,orders,units_sold,gross_minor,refunds,units_refunded,refunded_minor,views,likes,"
    "sale_refunds,sale_refunded_minor,traced_refunds,traced_refunded_minor,"
    "net_minor,untraced_refunds,untraced_refunded_minor"
)
QUESTION = question_from_options("product,day", "Europe/London")


async def test_csv_json_and_parquet_hold_the_same_rows(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=31, first=AUTUMN, days=4, events=80))
    answer = await figures(shop.read_model, QUESTION)
    text = (await figures_as(shop.read_model, QUESTION, Format.CSV)).decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert text.splitlines()[0] == HEADER
    assert rows[1:] == [[str(value) for value in row] for row in answer.rows()]
    objects = json.loads(await figures_as(shop.read_model, QUESTION, Format.JSON))
    assert objects == [{**row, "day": str(row["day"])} for row in answer.to_dicts()]
    assert pl.read_parquet(await figures_as(shop.read_model, QUESTION, Format.PARQUET)).equals(answer)


async def test_hours_are_printed_with_their_offset(shop: Shop) -> None:
    await shop.happened(viewed(datetime(2011, 10, 30, 1, 10, tzinfo=UTC), "A"))
    text = await figures_as(shop.read_model, question_from_options("hour", "Asia/Kathmandu"), Format.CSV)
    assert text.decode().splitlines()[1].startswith("2011-10-30T06:00+05:45,GBP,")


async def test_texts_are_exact_whatever_a_spreadsheet_makes_of_them(shop: Shop) -> None:
    names = ["=1+1", "@sum", 'quo"te,comma', "[bold]x[/bold]", "-5"]
    await shop.happened(*(viewed(AUTUMN, name) for name in names))
    by_product = question_from_options("product", "UTC")
    rows = list(csv.DictReader(io.StringIO((await figures_as(shop.read_model, by_product, Format.CSV)).decode())))
    assert sorted(row["product_id"] for row in rows) == sorted(names)
    table = (await figures_as(shop.read_model, by_product, Format.TABLE)).decode()
    assert all(name in table for name in names)


async def test_a_table_has_a_column_for_each_and_one_line_a_row(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "B"))
    lines = (await figures_as(shop.read_model, QUESTION, Format.TABLE)).decode().splitlines()
    assert lines[0].split() == HEADER.split(",")
    assert [line.split()[:3] for line in lines[1:]] == [["A", "2011-10-28", "GBP"], ["B", "2011-10-28", "GBP"]]


async def test_ratios_stand_last_and_are_empty_where_there_is_nothing_to_divide_by(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"), *busy_days(shop, seed=31, first=AUTUMN, days=2, events=80))
    question = question_from_options("product", "UTC", ratios=True)
    rows = list(csv.DictReader(io.StringIO((await figures_as(shop.read_model, question, Format.CSV)).decode())))
    assert list(rows[0])[-2:] == ["conversion", "like_rate"]
    for row in rows:
        views = int(row["views"])
        assert row["conversion"] == (str(int(row["orders"]) / views) if views else "")


def test_an_answer_goes_into_a_file_whole_or_the_file_stays_as_it_was(tmp_path: Path) -> None:
    screen = io.BytesIO()
    deliver(b"new", tmp_path / "figures.csv", screen)
    assert (tmp_path / "figures.csv").read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["figures.csv"]
    with pytest.raises(CommandFailed, match="can't be written"):
        deliver(b"new", tmp_path / "no such folder" / "figures.csv", screen)
    deliver(b"shown", None, screen)
    assert screen.getvalue() == b"shown"


async def test_a_narrow_screen_folds_long_product_ids_and_never_breaks_a_number(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("P" * 40, 1, 123_456_789)))
    lines = (await figures_as(shop.read_model, QUESTION, Format.TABLE, width=80)).decode().splitlines()
    assert lines[1].split()[:3] == ["P" * 12, "2011-10-28", "GBP"]
    assert "123456789" in lines[1]
    assert "".join(line.split()[0] for line in lines[1:]) == "P" * 40


async def test_an_empty_answer_is_a_header_an_empty_list_or_a_sentence(shop: Shop) -> None:
    assert await figures_as(shop.read_model, QUESTION, Format.CSV) == f"{HEADER}\n".encode()
    assert await figures_as(shop.read_model, QUESTION, Format.JSON) == b"[]\n"
    assert await figures_as(shop.read_model, QUESTION, Format.TABLE) == b"No figures in this range.\n"


def test_the_options_make_the_question() -> None:
    asked = Range(date(2011, 3, 1), date(2011, 3, 31))
    made = question_from_options("product,day", "Europe/London", "2011-03-01", "2011-03-31", ["A", "B"])
    assert made == Question(("product", "day"), "Europe/London", asked, ("A", "B"))


@pytest.mark.parametrize(
    ("first", "last", "error"), [("2011-05-01", "2011-04-01", EndsBeforeStart), ("March", None, UnreadableDay)]
)
def test_options_that_make_no_question_are_refused(first: str, last: str | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        question_from_options("day", "UTC", first, last)
