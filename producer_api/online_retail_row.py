"""One row of an Online Retail file: a line of an order, a line of a refund, or refused with its reason.

- `InvoiceNo` of digits, `Quantity` > 0, `UnitPrice` >= 0: a line of that order.
- `C` and digits, `Quantity` < 0, `UnitPrice` >= 0: a line of that refund, its quantity and amount turned positive.
- Everything else is refused, and so is what breaks the bounds of the API (producer_api/commerce.py), which would never
  take it.

The amount is `Quantity x UnitPrice` in pence, in exact decimal arithmetic, rounded half up once per line. The product
id is the `StockCode` exactly as written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from event_store.events import Line

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
SHOP_ZONE = ZoneInfo("Europe/London")

MOST_UNITS = 10**6
MOST_MINOR = 10**15
EARLIEST_YEAR = 2000
"""No event of ours is older (event_store/codec.py)."""


class Reason(StrEnum):
    """Why a row was refused: the first of these that applies."""

    COLUMNS = "the row has not exactly eight columns"
    DATE = "InvoiceDate is not a date and time like 2010-12-01 08:26:00 of the year 2000 or later"
    INVOICE_NO = "InvoiceNo is neither digits nor C and digits, or has more than 40 digits"
    QUANTITY = "Quantity is not a whole number"
    ORDER_QUANTITY = "Quantity of an order is not above zero"
    REFUND_QUANTITY = "Quantity of a refund is not below zero"
    MANY_UNITS = "Quantity is more than 1000000 units"
    PRICE = "UnitPrice is not a decimal number of at most 64 characters"
    NEGATIVE_PRICE = "UnitPrice is below zero"
    AMOUNT = "Quantity times UnitPrice is more than 1000000000000000 pence"
    PRODUCT = "StockCode is no id: 1 to 64 readable characters without a slash, and neither . nor .."
    CUSTOMER = "CustomerID is no id: 1 to 64 readable characters without a slash, and neither . nor .."
    LONG_INVOICE = "its invoice has 2000 lines already, the most an order or a refund may have"


class RowRefused(Exception):
    """The row is no line of anything."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SoldLine:
    """What an accepted row says beside its InvoiceNo and InvoiceDate."""

    line: Line
    unit_minor: int
    """The price of one unit, in pence, rounded half up."""
    description: str
    buyer_id: str | None


def invoice_date(columns: list[str]) -> datetime:
    """The row's InvoiceDate in the shop's zone; an hour that comes twice is read as its first coming.

    Such values of one zone compare by the clock on the wall, which is what the "earliest" of an invoice asks.
    """
    if len(columns) != len(COLUMNS):
        raise RowRefused(Reason.COLUMNS)
    return _local_time(columns[4])


def sold_line(columns: list[str]) -> SoldLine:
    """The rest of a row whose `invoice_date` could be read."""
    (number, product_id, description, quantity_text, _, price_text, customer, _) = columns
    quantity = _quantity(_is_refund(number), quantity_text)
    price = _price(price_text)
    amount_minor = _pence(quantity, price)
    if not _ID.fullmatch(product_id):
        raise RowRefused(Reason.PRODUCT)
    line = Line(product_id, quantity, amount_minor)
    return SoldLine(line, _pence(1, price), description, _buyer_id(customer))


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_NUMBER = re.compile(r"(C?)[0-9]{1,40}")
_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_FLOAT_ID = re.compile(r"([0-9]+)\.0+")
_ID = re.compile(r"(?!\.{1,2}\Z)[^\x00-\x1f\x7f-\x9f/\ufffd\ud800-\udfff]{1,64}")

# A price of 64 characters times 1000000 units has fewer than 72 digits, so nothing below is ever rounded unasked.
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
_LONGEST_PRICE = 64


@lru_cache(maxsize=1024)
def _local_time(text: str) -> datetime:
    if not _DATE.fullmatch(text):
        raise RowRefused(Reason.DATE)
    try:
        at = datetime.fromisoformat(text).replace(tzinfo=SHOP_ZONE)
    except ValueError:
        raise RowRefused(Reason.DATE) from None
    if at.year < EARLIEST_YEAR:
        raise RowRefused(Reason.DATE)
    return at


@lru_cache(maxsize=1024)
def _is_refund(number: str) -> bool:
    match = _NUMBER.fullmatch(number)
    if match is None:
        raise RowRefused(Reason.INVOICE_NO)
    return bool(match[1])


@lru_cache(maxsize=1024)
def _quantity(is_refund: bool, text: str) -> int:
    """The units sold or sent back, above zero either way."""
    if not _WHOLE.fullmatch(text):
        raise RowRefused(Reason.QUANTITY)
    units = Decimal(text).copy_negate() if is_refund else Decimal(text)
    if units <= 0:
        raise RowRefused(Reason.REFUND_QUANTITY if is_refund else Reason.ORDER_QUANTITY)
    if units > MOST_UNITS:
        raise RowRefused(Reason.MANY_UNITS)
    return int(units)


@lru_cache(maxsize=1024)
def _price(text: str) -> Decimal:
    """In pounds, zero or more."""
    if len(text) > _LONGEST_PRICE or not _DECIMAL.fullmatch(text):
        raise RowRefused(Reason.PRICE)
    price = Decimal(text)
    if price < 0:
        raise RowRefused(Reason.NEGATIVE_PRICE)
    return price


@lru_cache(maxsize=1024)
def _pence(quantity: int, price: Decimal) -> int:
    exact = _EXACT.multiply(_EXACT.multiply(price, 100), quantity)
    amount = int(_EXACT.quantize(exact, Decimal(1)))
    if amount > MOST_MINOR:
        raise RowRefused(Reason.AMOUNT)
    return amount


@lru_cache(maxsize=1024)
def _buyer_id(text: str) -> str | None:
    """As written, except that "17850.0" is the customer 17850 after a detour through a float."""
    if not text.strip():
        return None
    if match := _FLOAT_ID.fullmatch(text):
        text = match[1]
    if not _ID.fullmatch(text):
        raise RowRefused(Reason.CUSTOMER)
    return text
