"""The Online Retail invoice file: what each of its rows means, and why some mean nothing to us.

The file is the UCI data set "Online Retail" (CC BY 4.0) or anything with the same eight columns, as .csv or .csv.xz.
Rows are numbered as the csv module reads them: 1 is the first row after the header. Each is accepted as a line of an
order or a refund, or refused with its reason (online_retail_row.py): rows read = lines accepted + rows refused.

An invoice's rows need not be neighbours, so the whole file is grouped in memory: about 50 MB for a quarter of
a million rows.
"""

from __future__ import annotations

import csv
import lzma
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from event_store.events import Line

from .online_retail_row import COLUMNS, Reason, RowRefused, SoldLine, invoice_date, sold_line

CURRENCY = "GBP"
MOST_LINES = 2000
"""The most an event may have (event_store/events.py)."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class UnreadableRetailFile(ValueError):
    """The file as a whole is no Online Retail file, or damaged; nothing of it was sent."""


@dataclass(frozen=True, slots=True)
class Product:
    """What the shop sells, as its accepted rows tell."""

    product_id: str
    name: str
    """Its most frequent description, the StockCode where none is given."""
    price_minor: int
    """Of its last accepted row in the file, in pence, rounded half up."""
    row: int
    """That row."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """One order with its payment, or one refund (`is_refund`)."""

    number: str
    at: datetime
    """UTC: the earliest InvoiceDate of all its rows with a readable one, refused rows included. It is read as local
    time of Europe/London, an hour that comes twice as its first coming."""
    buyer_id: str | None
    """The first CustomerID among its accepted rows."""
    lines: tuple[Line, ...]
    rows: tuple[int, ...]
    """The row of each line."""

    @property
    def is_refund(self) -> bool:
        return self.number.startswith("C")


@dataclass(frozen=True, slots=True)
class RetailFile:
    """A file read and judged. Products and invoices stand in the order of their first accepted row."""

    rows_read: int
    lines_accepted: int
    refused: Mapping[int, Reason]
    """Row -> why, in row order."""
    products: Sequence[Product]
    invoices: Sequence[Invoice]


def read_online_retail(file: Path) -> RetailFile:
    """Reads all of `file`. Raises UnreadableRetailFile; OSError where it can't be opened."""
    reading = _Reading()
    for number, columns in numbered_rows(file):
        reading.take(number, columns)
    return reading.result()


def numbered_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header. A byte that is not UTF-8 becomes a surrogate, so that writing gives it back."""
    number = 0
    try:
        with _open_text(file) as text:
            rows = csv.reader(text)
            _check_header(file, next(rows, []))
            for number, columns in enumerate(rows, 1):
                yield number, columns
    except (csv.Error, lzma.LZMAError, EOFError) as error:
        raise UnreadableRetailFile(f"{file} is damaged after row {number}: {error}") from error


def _open_text(file: Path) -> TextIO:
    if file.name.endswith(".csv.xz"):
        return lzma.open(file, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    if file.name.endswith(".csv"):
        return file.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    raise UnreadableRetailFile(f"{file}: only .csv and .csv.xz can be read")


def _check_header(file: Path, header: list[str]) -> None:
    if tuple(header) != COLUMNS:
        found = ",".join(header)[:200].encode("ascii", "backslashreplace").decode()
        wanted = ",".join(COLUMNS)
        raise UnreadableRetailFile(f"{file} is no Online Retail file: its header is {found!r}, not {wanted!r}")


@dataclass(slots=True)
class _InvoiceSoFar:
    at: datetime
    buyer_id: str | None = None
    lines: list[Line] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _ProductSoFar:
    names: Counter[str] = field(default_factory=Counter)
    price_minor: int = 0
    row: int = 0


@dataclass(slots=True)
class _Reading:
    """The file as far as it has been read."""

    rows_read: int = 0
    refused: dict[int, Reason] = field(default_factory=dict)
    invoices: dict[str, _InvoiceSoFar] = field(default_factory=dict)
    products: dict[str, _ProductSoFar] = field(default_factory=dict)

    def take(self, row: int, columns: list[str]) -> None:
        self.rows_read = row
        try:
            self._accept(row, columns)
        except RowRefused as refused:
            self.refused[row] = refused.reason

    def _accept(self, row: int, columns: list[str]) -> None:
        invoice = self._dated(columns, invoice_date(columns))
        sold = sold_line(columns)
        if len(invoice.lines) == MOST_LINES:
            raise RowRefused(Reason.LONG_INVOICE)
        invoice.buyer_id = invoice.buyer_id or sold.buyer_id
        invoice.lines.append(sold.line)
        invoice.rows.append(row)
        self._remember(sold, row)

    def _dated(self, columns: list[str], at: datetime) -> _InvoiceSoFar:
        """The invoice of a row, whose date counts whatever becomes of the row."""
        number = columns[0]
        invoice = self.invoices.get(number)
        if invoice is None:
            invoice = self.invoices[number] = _InvoiceSoFar(at)
        elif at < invoice.at:
            invoice.at = at
        return invoice

    def _remember(self, sold: SoldLine, row: int) -> None:
        product = self.products.get(sold.line.product_id)
        if product is None:
            product = self.products[sold.line.product_id] = _ProductSoFar()
        product.names[sold.description] += 1
        product.price_minor = sold.unit_minor
        product.row = row

    def result(self) -> RetailFile:
        accepted = [(number, so_far) for number, so_far in self.invoices.items() if so_far.lines]
        return RetailFile(
            rows_read=self.rows_read,
            lines_accepted=sum(len(so_far.lines) for _, so_far in accepted),
            refused=self.refused,
            products=[_product(product_id, so_far) for product_id, so_far in self.products.items()],
            invoices=[_invoice(number, so_far) for number, so_far in accepted],
        )


def _product(product_id: str, so_far: _ProductSoFar) -> Product:
    described = (name for name, _ in so_far.names.most_common() if name.strip())
    name = _UNPRINTABLE.sub("\ufffd", next(described, "").strip() or product_id)
    return Product(product_id, name[:200], so_far.price_minor, so_far.row)


def _invoice(number: str, so_far: _InvoiceSoFar) -> Invoice:
    return Invoice(number, so_far.at.astimezone(UTC), so_far.buyer_id, tuple(so_far.lines), tuple(so_far.rows))
