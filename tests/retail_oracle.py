"""What every sales figure of an Online Retail file must be, computed with nothing but the standard library.

It shares no code with the project on purpose: the suite compares the project's figures with these.

    python tests/retail_oracle.py FILE [MOST_INVOICES]

prints CSV: product_id,day,currency,orders,units_sold,gross_minor,refunds,units_refunded,refunded_minor,net_minor,
sorted by its first three columns; `day` is the day in Europe/London.
"""

from __future__ import annotations

import csv
import lzma
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
REPOSITORY = Path(__file__).resolve().parent.parent
EXCERPT = REPOSITORY / "tests" / "data" / "online-retail-excerpt.csv"
HEADER = "product_id,day,currency,orders,units_sold,gross_minor,refunds,units_refunded,refunded_minor,net_minor"


def whole_file() -> Path | None:
    """The half year, where this machine has it."""
    beside = REPOSITORY.parent / "shared" / "data" / "online-retail-2010-12--2011-06.csv.xz"
    named = os.environ.get("COUNTINGHOUSE_RETAIL_FILE") or os.environ.get("RETAIL_FILE")
    file = Path(named or beside)
    return file if file.exists() else None


@dataclass(frozen=True)
class Row:
    number: int
    invoice: str
    product_id: str
    quantity: int
    amount_minor: int
    local_time: datetime


@dataclass
class Figures:
    orders: int = 0
    units_sold: int = 0
    gross_minor: int = 0
    refunds: int = 0
    units_refunded: int = 0
    refunded_minor: int = 0

    @property
    def net_minor(self) -> int:
        return self.gross_minor - self.refunded_minor


@dataclass
class Judged:
    rows_read: int
    accepted: list[Row]
    refused: list[int]
    """Row numbers; 1 is the first row after the header."""
    earliest: dict[str, datetime]
    """Invoice number -> earliest local time of its rows, refused ones with a readable date included."""


def judge(file: Path) -> Judged:
    judged = Judged(0, [], [], {})
    lines_of: Counter[str] = Counter()
    with open_text(file) as text:
        rows = csv.reader(text)
        next(rows)
        for number, columns in enumerate(rows, 1):
            judged.rows_read += 1
            time = readable_time(columns)
            if time is not None:
                invoice = columns[0]
                judged.earliest[invoice] = min(time, judged.earliest.get(invoice, time))
            row = accepted_row(number, columns, time)
            if row is None or lines_of[row.invoice] == 2000:
                judged.refused.append(number)
            else:
                lines_of[row.invoice] += 1
                judged.accepted.append(row)
    return judged


def open_text(file: Path) -> TextIO:
    if file.suffix == ".xz":
        return lzma.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")


def readable_time(columns: list[str]) -> datetime | None:
    if len(columns) != 8:
        return None
    if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", columns[4]) is None:
        return None
    try:
        time = datetime.fromisoformat(columns[4])
    except ValueError:
        return None
    return time if time.year >= 2000 else None


def accepted_row(number: int, columns: list[str], time: datetime | None) -> Row | None:
    if time is None:
        return None
    (invoice, product_id, _, quantity_text, _, price_text, customer, _) = columns
    order = re.fullmatch("[0-9]{1,40}", invoice) is not None
    refund = re.fullmatch("C[0-9]{1,40}", invoice) is not None
    if not (order or refund):
        return None
    if re.fullmatch("-?[0-9]+", quantity_text) is None:
        return None
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", price_text) is None or len(price_text) > 64:
        return None
    quantity = Decimal(quantity_text)
    price = Decimal(price_text)
    if refund:
        quantity = -quantity
    if quantity <= 0 or quantity > 1_000_000 or price < 0:
        return None
    with localcontext() as context:
        context.prec = 200
        amount_minor = int((quantity * price * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    if amount_minor > 10**15:
        return None
    if not is_id(product_id):
        return None
    customer = re.sub(r"^([0-9]+)\.0+$", r"\1", customer)
    if customer.strip() != "" and not is_id(customer):
        return None
    return Row(number, invoice, product_id, int(quantity), amount_minor, time)


def is_id(text: str) -> bool:
    if not 1 <= len(text) <= 64:
        return False
    if text in {".", ".."} or "/" in text or "\ufffd" in text:
        return False
    return not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)


def figures(judged: Judged, most_invoices: int | None = None) -> dict[tuple[str, str, str], Figures]:
    """(product, day, currency) -> figures, of the first `most_invoices` invoices with an accepted row."""
    invoices: dict[str, list[Row]] = {}
    for row in judged.accepted:
        invoices.setdefault(row.invoice, []).append(row)
    result: dict[tuple[str, str, str], Figures] = {}
    for invoice, rows in list(invoices.items())[:most_invoices]:
        day = london_day(judged.earliest[invoice])
        for row in rows:
            cell = result.setdefault((row.product_id, day.isoformat(), "GBP"), Figures())
            if invoice.startswith("C"):
                cell.units_refunded += row.quantity
                cell.refunded_minor += row.amount_minor
            else:
                cell.units_sold += row.quantity
                cell.gross_minor += row.amount_minor
        for product_id in {row.product_id for row in rows}:
            cell = result[product_id, day.isoformat(), "GBP"]
            if invoice.startswith("C"):
                cell.refunds += 1
            else:
                cell.orders += 1
    return result


def london_day(local_time: datetime) -> date:
    """By way of UTC, which moves an hour that the clocks skipped."""
    instant = local_time.replace(tzinfo=LONDON, fold=0).astimezone(timezone.utc)  # noqa: UP017
    return instant.astimezone(LONDON).date()


def table(cells: dict[tuple[str, str, str], Figures]) -> Iterable[tuple[str | int, ...]]:
    """Rows as `HEADER` names them, sorted."""
    for (product_id, day, currency), cell in sorted(cells.items()):
        yield (
            product_id,
            day,
            currency,
            cell.orders,
            cell.units_sold,
            cell.gross_minor,
            cell.refunds,
            cell.units_refunded,
            cell.refunded_minor,
            cell.net_minor,
        )


def oracle(file: Path, most_invoices: int | None = None) -> list[tuple[str | int, ...]]:
    """The whole table of a file."""
    return list(table(figures(judge(file), most_invoices)))


def main() -> None:
    file = Path(sys.argv[1])
    most_invoices = int(sys.argv[2]) if len(sys.argv) > 2 else None
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEADER.split(","))
    writer.writerows(oracle(file, most_invoices))


if __name__ == "__main__":
    main()
