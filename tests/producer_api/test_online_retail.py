from __future__ import annotations

import csv
import lzma
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from event_store.events import Line
from producer_api.online_retail import MOST_LINES, RetailFile, UnreadableRetailFile, read_online_retail
from producer_api.online_retail_row import COLUMNS, SHOP_ZONE, Reason
from tests.retail_oracle import EXCERPT, figures, judge, table, whole_file

FILES = [file for file in (EXCERPT, whole_file()) if file is not None]
LANTERN = ("536365", "71053", "WHITE METAL LANTERN", "6", "2010-12-01 08:26:00", "3.39", "17850.0", "United Kingdom")


def row(**changes: str) -> tuple[str, ...]:
    return tuple(changes.get(column, value) for column, value in zip(COLUMNS, LANTERN, strict=True))


def write(file: Path, *rows: Sequence[str]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text).writerows([COLUMNS, *rows])
    return file


def read(tmp_path: Path, *rows: Sequence[str]) -> RetailFile:
    return read_online_retail(write(tmp_path / "invoices.csv", *rows))


def test_an_invoice_of_digits_is_an_order(tmp_path: Path) -> None:
    (invoice,) = read(tmp_path, row(), row(StockCode="71054", Quantity="1", UnitPrice="0.85")).invoices
    assert not invoice.is_refund
    assert (invoice.number, invoice.buyer_id) == ("536365", "17850")
    assert invoice.lines == (Line("71053", 6, 2034), Line("71054", 1, 85))
    assert invoice.rows == (1, 2)


def test_an_invoice_of_c_and_digits_is_a_refund_with_positive_quantity_and_amount(tmp_path: Path) -> None:
    (invoice,) = read(tmp_path, row(InvoiceNo="C536379", Quantity="-2")).invoices
    assert invoice.is_refund
    assert invoice.number == "C536379"
    assert invoice.lines == (Line("71053", 2, 678),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"InvoiceNo": "A563185"}, Reason.INVOICE_NO),
        ({"InvoiceNo": "c536379", "Quantity": "-1"}, Reason.INVOICE_NO),
        ({"InvoiceNo": ""}, Reason.INVOICE_NO),
        ({"InvoiceNo": " 536365"}, Reason.INVOICE_NO),
        ({"InvoiceNo": "536365\n"}, Reason.INVOICE_NO),
        ({"InvoiceNo": "٥٣٦"}, Reason.INVOICE_NO),
        ({"InvoiceNo": "9" * 41}, Reason.INVOICE_NO),
        ({"Quantity": "0"}, Reason.ORDER_QUANTITY),
        ({"Quantity": "-10"}, Reason.ORDER_QUANTITY),
        ({"InvoiceNo": "C1", "Quantity": "0"}, Reason.REFUND_QUANTITY),
        ({"InvoiceNo": "C1", "Quantity": "6"}, Reason.REFUND_QUANTITY),
        ({"Quantity": ""}, Reason.QUANTITY),
        ({"Quantity": "1.5"}, Reason.QUANTITY),
        ({"Quantity": "1_000"}, Reason.QUANTITY),
        ({"Quantity": "six"}, Reason.QUANTITY),
        ({"Quantity": "1000001"}, Reason.MANY_UNITS),
        ({"Quantity": "9" * 5000}, Reason.MANY_UNITS),
        ({"UnitPrice": ""}, Reason.PRICE),
        ({"UnitPrice": "NaN"}, Reason.PRICE),
        ({"UnitPrice": "Infinity"}, Reason.PRICE),
        ({"UnitPrice": "1e3"}, Reason.PRICE),
        ({"UnitPrice": "1,50"}, Reason.PRICE),
        ({"UnitPrice": "0." + "1" * 63}, Reason.PRICE),
        ({"UnitPrice": "-11062.06"}, Reason.NEGATIVE_PRICE),
        ({"UnitPrice": "10000000000000.01", "Quantity": "1"}, Reason.AMOUNT),
        ({"StockCode": ""}, Reason.PRODUCT),
        ({"StockCode": "a/b"}, Reason.PRODUCT),
        ({"StockCode": ".."}, Reason.PRODUCT),
        ({"StockCode": "a\tb"}, Reason.PRODUCT),
        ({"StockCode": "a\n"}, Reason.PRODUCT),
        ({"StockCode": "x" * 65}, Reason.PRODUCT),
        ({"CustomerID": "x" * 65}, Reason.CUSTOMER),
        ({"CustomerID": "1/2"}, Reason.CUSTOMER),
        ({"InvoiceDate": ""}, Reason.DATE),
        ({"InvoiceDate": "2010-02-29 08:26:00"}, Reason.DATE),
        ({"InvoiceDate": "2010-12-01T08:26:00"}, Reason.DATE),
        ({"InvoiceDate": "12/1/2010 8:26"}, Reason.DATE),
        ({"InvoiceDate": "1999-12-31 23:59:59"}, Reason.DATE),
    ],
)
def test_a_row_that_is_no_line_is_refused_with_its_reason(
    tmp_path: Path, changes: dict[str, str], reason: Reason
) -> None:
    retail = read(tmp_path, row(), row(**changes), row())
    assert dict(retail.refused) == {2: reason}
    assert (retail.rows_read, retail.lines_accepted) == (3, 2)
    assert judge(tmp_path / "invoices.csv").refused == [2]


@pytest.mark.parametrize("columns", [(), LANTERN[:7], (*LANTERN, "more")])
def test_a_row_of_another_number_of_columns_is_refused(tmp_path: Path, columns: tuple[str, ...]) -> None:
    assert dict(read(tmp_path, row(), columns).refused) == {2: Reason.COLUMNS}


@pytest.mark.parametrize(
    "changes",
    [
        {"Quantity": "1000000"},
        {"Quantity": "1", "UnitPrice": "10000000000000.00"},
        {"UnitPrice": "0"},
        {"UnitPrice": "-0.0"},
        {"UnitPrice": "0." + "1" * 62},
        {"StockCode": "x" * 64},
        {"StockCode": " BANK CHARGES? 100%#é"},
        {"CustomerID": ""},
        {"CustomerID": "  "},
        {"InvoiceNo": "9" * 40},
        {"InvoiceDate": "2000-01-01 00:00:00"},
    ],
)
def test_a_row_at_the_edge_of_the_bounds_is_accepted(tmp_path: Path, changes: dict[str, str]) -> None:
    assert read(tmp_path, row(**changes)).lines_accepted == 1
    assert judge(tmp_path / "invoices.csv").refused == []


@pytest.mark.parametrize(
    ("quantity", "price", "amount_minor"),
    [
        ("6", "2.55", 1530),
        ("1", "0.005", 1),
        ("1", "0.0049999999999999999999999999999999999999999999", 0),
        ("3", "0.001", 0),
        ("5", "0.001", 1),
        ("1", "1.115", 112),
        ("3", "1.115", 335),
        ("74215", "1.04", 7718360),
        ("7", "0", 0),
    ],
)
def test_an_amount_is_exact_and_rounded_half_up_once_per_line(
    tmp_path: Path, quantity: str, price: str, amount_minor: int
) -> None:
    (invoice,) = read(tmp_path, row(Quantity=quantity, UnitPrice=price)).invoices
    assert invoice.lines[0].amount_minor == amount_minor


def test_stock_codes_are_kept_exactly_as_written(tmp_path: Path) -> None:
    codes = ["15056bl", "15056BL", " 15056BL", "15056BL ", "m", "M"]
    retail = read(tmp_path, *(row(StockCode=code) for code in codes))
    assert [line.product_id for line in retail.invoices[0].lines] == codes
    assert [product.product_id for product in retail.products] == codes


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2011-01-31 23:30:00", datetime(2011, 1, 31, 23, 30, tzinfo=UTC)),
        ("2011-06-01 00:30:00", datetime(2011, 5, 31, 23, 30, tzinfo=UTC)),
        ("2011-03-27 01:30:00", datetime(2011, 3, 27, 1, 30, tzinfo=UTC)),
        ("2011-10-30 01:30:00", datetime(2011, 10, 30, 0, 30, tzinfo=UTC)),
        ("2011-10-30 02:30:00", datetime(2011, 10, 30, 2, 30, tzinfo=UTC)),
    ],
    ids=["winter", "summer", "an hour that does not exist", "an hour that comes twice", "after it"],
)
def test_dates_are_local_times_of_london(tmp_path: Path, local: str, utc: datetime) -> None:
    (invoice,) = read(tmp_path, row(InvoiceDate=local)).invoices
    assert invoice.at == utc
    assert invoice.at.tzinfo is UTC


def test_an_invoice_stands_at_the_earliest_date_of_its_rows_refused_ones_included(tmp_path: Path) -> None:
    (invoice,) = read(
        tmp_path,
        row(InvoiceDate="2010-12-01 08:28:00"),
        row(InvoiceDate="2010-12-01 08:27:00"),
        row(InvoiceDate="2010-12-01 08:26:00", Quantity="-1"),
        row(InvoiceDate="long ago"),
    ).invoices
    assert invoice.at == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


def test_rows_of_one_invoice_need_not_be_neighbours(tmp_path: Path) -> None:
    retail = read(tmp_path, row(), row(InvoiceNo="536366"), row(StockCode="B"))
    assert [(one.number, one.rows) for one in retail.invoices] == [("536365", (1, 3)), ("536366", (2,))]


def test_an_invoice_without_an_accepted_line_is_none(tmp_path: Path) -> None:
    retail = read(tmp_path, row(Quantity="-1"), row(Quantity="0"))
    assert retail.invoices == []
    assert retail.products == []


def test_the_buyer_is_the_first_customer_written_or_nobody(tmp_path: Path) -> None:
    retail = read(
        tmp_path,
        row(CustomerID=""),
        row(CustomerID="13047.0"),
        row(CustomerID="13048.0"),
        row(InvoiceNo="2", CustomerID=""),
        row(InvoiceNo="3", CustomerID="vip-7.5"),
    )
    assert [invoice.buyer_id for invoice in retail.invoices] == ["13047", None, "vip-7.5"]


def test_lines_past_the_most_an_order_may_have_are_refused(tmp_path: Path) -> None:
    retail = read(tmp_path, *(row(StockCode=str(number)) for number in range(MOST_LINES + 2)), row(InvoiceNo="2"))
    assert dict(retail.refused) == {MOST_LINES + 1: Reason.LONG_INVOICE, MOST_LINES + 2: Reason.LONG_INVOICE}
    assert [len(invoice.lines) for invoice in retail.invoices] == [MOST_LINES, 1]
    assert judge(tmp_path / "invoices.csv").refused == [*retail.refused]


def test_a_product_has_its_most_frequent_description_and_its_last_price(tmp_path: Path) -> None:
    retail = read(
        tmp_path,
        row(Description="LANTERN"),
        row(Description="WHITE METAL LANTERN "),
        row(Description=""),
        row(Description=""),
        row(Description=""),
        row(Description="WHITE METAL LANTERN ", UnitPrice="3.755"),
        row(Description="damaged", UnitPrice="9.99", Quantity="-3"),
        row(StockCode="POST", Description=" "),
        row(StockCode="LONG", Description="x" * 300),
        row(StockCode="ODD", Description="a\tb\x00"),
    )
    assert [(one.product_id, one.name, one.price_minor, one.row) for one in retail.products] == [
        ("71053", "WHITE METAL LANTERN", 376, 6),
        ("POST", "POST", 339, 8),
        ("LONG", "x" * 200, 339, 9),
        ("ODD", "a\ufffdb\ufffd", 339, 10),
    ]


def test_bytes_that_are_not_utf_8_cost_only_the_rows_whose_ids_they_spoil(tmp_path: Path) -> None:
    file = tmp_path / "invoices.csv"
    header = ",".join(COLUMNS)
    good = "536365,71053,\udca3 LANTERN,6,2010-12-01 08:26:00,3.39,,United Kingdom"
    bad = "536365,7105\udca3,LANTERN,6,2010-12-01 08:26:00,3.39,,United Kingdom"
    file.write_bytes(f"{header}\n{good}\n{bad}\n".encode(errors="surrogateescape"))
    retail = read_online_retail(file)
    assert dict(retail.refused) == {2: Reason.PRODUCT}
    assert retail.products[0].name == "\ufffd LANTERN"


def test_a_field_may_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    retail = read(tmp_path, row(Description='a "fine", bright\nlantern'), row(Quantity="0"), row())
    assert dict(retail.refused) == {2: Reason.ORDER_QUANTITY}
    assert retail.rows_read == 3


def test_a_compressed_file_and_a_byte_order_mark_are_read_alike(tmp_path: Path) -> None:
    plain = write(tmp_path / "invoices.csv", row(), row(Quantity="0"))
    marked = tmp_path / "marked.csv"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    packed = tmp_path / "invoices.csv.xz"
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    assert read_online_retail(plain) == read_online_retail(marked) == read_online_retail(packed)


def test_a_file_of_another_kind_is_refused_with_what_its_header_is(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("Invoice,StockCode\n1,2\n", encoding="utf-8")
    with pytest.raises(UnreadableRetailFile, match="its header is 'Invoice,StockCode'"):
        read_online_retail(file)
    file.write_text("", encoding="utf-8")
    with pytest.raises(UnreadableRetailFile, match="its header is ''"):
        read_online_retail(file)
    with pytest.raises(UnreadableRetailFile, match=r"only \.csv and \.csv\.xz"):
        read_online_retail(file.rename(tmp_path / "orders.xlsx"))


def test_a_damaged_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    packed = lzma.compress(EXCERPT.read_bytes())
    torn = tmp_path / "torn.csv.xz"
    torn.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UnreadableRetailFile, match=r"torn\.csv\.xz is damaged after row \d+"):
        read_online_retail(torn)
    torn.write_bytes(b"no archive at all")
    with pytest.raises(UnreadableRetailFile, match="is damaged after row 0"):
        read_online_retail(torn)


def test_an_endless_quoted_field_is_damage_not_a_row(tmp_path: Path) -> None:
    file = write(tmp_path / "invoices.csv", row())
    with file.open("a", encoding="utf-8") as text:
        text.write('536365,"' + "x" * 200_000)
    with pytest.raises(UnreadableRetailFile, match="after row 1: field larger than field limit"):
        read_online_retail(file)


def amounts(retail: RetailFile) -> Counter[tuple[str, str, str]]:
    """(product, London day, metric) -> sum."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for invoice in retail.invoices:
        day = invoice.at.astimezone(SHOP_ZONE).date().isoformat()
        names = ("units_refunded", "refunded_minor") if invoice.is_refund else ("units_sold", "gross_minor")
        for line in invoice.lines:
            sums[line.product_id, day, names[0]] += line.quantity
            sums[line.product_id, day, names[1]] += line.amount_minor
    return sums


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_a_real_file_is_judged_as_the_oracle_judges_it(file: Path) -> None:
    retail = read_online_retail(file)
    judged = judge(file)
    expected: Counter[tuple[str, str, str]] = Counter()
    for product_id, day, _, _, units_sold, gross_minor, _, units_refunded, refunded_minor, _ in table(figures(judged)):
        expected[str(product_id), str(day), "units_sold"] = int(units_sold)
        expected[str(product_id), str(day), "gross_minor"] = int(gross_minor)
        expected[str(product_id), str(day), "units_refunded"] = int(units_refunded)
        expected[str(product_id), str(day), "refunded_minor"] = int(refunded_minor)
    assert list(retail.refused) == judged.refused
    assert amounts(retail) == expected
