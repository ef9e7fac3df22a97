"""Facts: the frame of decoded events, one frame per event type and one row per product it speaks of.

Every frame has `offset` (of the event's record), `bucket` (start of its 15-minute UTC bucket, in seconds since
1970) and `product_id`, and then the columns of its type. Projections are expressions over these columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from .buckets import bucket_of
from .events import LikeChanged, Payload, PaymentCompleted, PaymentRefunded, ProductListed, ProductView

Facts = Mapping[str, pl.DataFrame]
"""Event name → its rows. A type without rows may be absent."""

_PLACE: dict[str, Any] = {"offset": pl.Int64, "bucket": pl.Int64, "product_id": pl.String, "currency": pl.String}
_LINES: dict[str, Any] = {
    **_PLACE,
    "quantity": pl.Int64,
    "amount_minor": pl.Int64,
    "first_of_product": pl.Int64,
}

FACTS: dict[type[Payload], dict[str, Any]] = {
    ProductListed: {**_PLACE, "version": pl.Int64, "name": pl.String, "price_minor": pl.Int64},
    ProductView: _PLACE,
    LikeChanged: {**_PLACE, "delta": pl.Int64},
    PaymentCompleted: _LINES,
    PaymentRefunded: {**_LINES, "sale_bucket": pl.Int64},
}
"""Payload → columns. `first_of_product` is 1 on the first line of a product in its event, else 0. `sale_bucket` is

that of the sale that a refund undoes, null where the sale isn't known.
"""


Columns = list[list[Any]]
"""Parallel, in the order of `FACTS`."""


def columns_of(payload: type[Payload], offsets: list[int], buckets: list[int], data: Sequence[Any]) -> Columns:
    """The rows of events of one type, from parallel columns of the events; the columns are the caller's to lengthen."""
    return _COLUMNS[payload](offsets, buckets, data)


def frame_of(payload: type[Payload], columns: Columns) -> pl.DataFrame:
    schema = FACTS[payload].items()
    # Half the time of a frame of a dict, for which polars looks at every column again.
    return pl.DataFrame([pl.Series(name, rows, kind) for (name, kind), rows in zip(schema, columns, strict=True)])


def joined(parts: Sequence[Facts]) -> Facts:
    """The facts of several batches as those of one."""
    if len(parts) == 1:
        return parts[0]
    events = dict.fromkeys(event for part in parts for event in part)
    return {event: pl.concat([part[event] for part in parts if event in part]) for event in events}


def _listed(offsets: list[int], buckets: list[int], data: Sequence[Any]) -> Columns:
    return [
        *_of_product(offsets, buckets, data),
        [one.version for one in data],
        [one.name for one in data],
        [one.price_minor for one in data],
    ]


def _of_product(offsets: list[int], buckets: list[int], data: Sequence[Any]) -> Columns:
    return [offsets, buckets, [one.product_id for one in data], [one.currency for one in data]]


def _liked(offsets: list[int], buckets: list[int], data: Sequence[Any]) -> Columns:
    return [*_of_product(offsets, buckets, data), [one.delta for one in data]]


def _lines(offsets: list[int], buckets: list[int], data: Sequence[Any]) -> Columns:
    lines = [line for event in data for line in event.lines]
    return [
        [offset for offset, event in zip(offsets, data, strict=True) for _ in event.lines],
        [bucket for bucket, event in zip(buckets, data, strict=True) for _ in event.lines],
        [line.product_id for line in lines],
        [event.currency for event in data for _ in event.lines],
        [line.quantity for line in lines],
        [line.amount_minor for line in lines],
        [first for event in data for first in _first_of_product(event.lines)],
    ]


def _refunded(offsets: list[int], buckets: list[int], data: Sequence[Any]) -> Columns:
    sales = [None if event.sold_at is None else bucket_of(event.sold_at) for event in data]
    of_lines = [sale for sale, event in zip(sales, data, strict=True) for _ in event.lines]
    return [*_lines(offsets, buckets, data), of_lines]


def _first_of_product(lines: Sequence[Any]) -> list[int]:
    """1 for the first line of each product of one event, 0 for its other lines."""
    products = [line.product_id for line in lines]
    if len(set(products)) == len(products):
        return [1] * len(products)
    return [int(product not in products[:at]) for at, product in enumerate(products)]


_COLUMNS: dict[type[Payload], Callable[[list[int], list[int], Sequence[Any]], Columns]] = {
    ProductListed: _listed,
    ProductView: _of_product,
    LikeChanged: _liked,
    PaymentCompleted: _lines,
    PaymentRefunded: _refunded,
}
