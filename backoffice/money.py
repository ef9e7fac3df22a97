"""Money for eyes: minor units of a currency as an amount in its major unit, exactly."""

from __future__ import annotations

from decimal import Decimal

_NO_MINOR_UNIT = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
_THOUSANDTHS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
_TEN_THOUSANDTHS = frozenset("CLF UYW".split())

_SYMBOLS = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥", "INR": "₹", "KRW": "₩", "CHF": "CHF ", "NPR": "NPR "}


def exponent_of(currency: str) -> int:
    """How many decimal digits the currency's minor unit has, by ISO 4217; 2 for one that isn't listed here."""
    if currency in _NO_MINOR_UNIT:
        return 0
    if currency in _THOUSANDTHS:
        return 3
    return 4 if currency in _TEN_THOUSANDTHS else 2


def money(amount_minor: int, currency: str) -> str:
    """`£1,234.56`, `-¥300`, `KWD 1.250`; a currency without a sign of its own goes by its code."""
    exponent = exponent_of(currency)
    (whole, part) = divmod(abs(amount_minor), 10**exponent)
    digits = f"{whole:,}" + (f".{part:0{exponent}d}" if exponent else "")
    return ("-" if amount_minor < 0 else "") + _SYMBOLS.get(currency, f"{currency} ") + digits


def major(amount_minor: int, currency: str) -> Decimal:
    """The amount in the currency's major unit, exactly: `1234.56`."""
    return Decimal(amount_minor).scaleb(-exponent_of(currency))
