"""Returns: what came back in the end of what was sold, per product, currency and 15 minutes of the sale.

A refund says when its sale was where its writer knows it. Such a refund is traced: it adds to the bucket of its sale,
and, to tell it from those of unknown sales, to its own. In `sales` every refund stands in its own bucket.

A refund that was counted before there was this table is none of a known sale: those events didn't say when it was.
"""

from __future__ import annotations

import polars as pl
from sqlalchemy import Text
from sqlmodel import Field

from .metric import Metric, Ratio, Unit
from .projection import Projection
from .tables import STRICT, FigureRow

_TRACED = pl.col("sale_bucket").is_not_null().cast(pl.Int64)


class Returns(FigureRow, table=True):
    __tablename__ = "returns"
    __table_args__ = STRICT

    bucket: int = Field(primary_key=True)
    product_id: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(primary_key=True, sa_type=Text)
    sale_refunds: int
    sale_refunded_minor: int
    traced_refunds: int
    traced_refunded_minor: int


RETURNS = Projection(
    name="returns",
    title="Refunds by day of sale",
    table=Returns,
    key=("bucket", "product_id", "currency"),
    metrics=(
        Metric("sale_refunds", "Refunds by day of sale", Unit.COUNT),
        Metric("sale_refunded_minor", "Refunded by day of sale", Unit.MONEY),
        Metric("traced_refunds", "Refunds of known sales", Unit.COUNT),
        Metric("traced_refunded_minor", "Refunded of known sales", Unit.MONEY),
    ),
    contributions={
        "PaymentRefunded": {
            "sale_refunds": pl.col("first_of_product"),
            "sale_refunded_minor": pl.col("amount_minor"),
            "traced_refunds": _TRACED * pl.col("first_of_product"),
            "traced_refunded_minor": _TRACED * pl.col("amount_minor"),
        },
    },
    by_sale=frozenset({"sale_refunds", "sale_refunded_minor"}),
)

UNTRACED = (
    Ratio("untraced_refunds", "Refunds of unknown sales", Unit.COUNT, pl.col("refunds") - pl.col("traced_refunds")),
    Ratio(
        "untraced_refunded_minor",
        "Refunded of unknown sales",
        Unit.MONEY,
        pl.col("refunded_minor") - pl.col("traced_refunded_minor"),
    ),
)
REFUND_RATE = Ratio(
    "refund_rate", "Share of sales refunded", Unit.RATIO, pl.col("sale_refunded_minor") / pl.col("gross_minor")
)
