"""Sales: what was paid and what went back, per product, currency and 15 minutes.

An order with two lines of one product counts one order of it. Refunds stand in the bucket of the refund, not of
the sale.
"""

from __future__ import annotations

import polars as pl
from sqlalchemy import Text
from sqlmodel import Field

from .metric import Metric, Ratio, Unit
from .projection import Projection
from .tables import STRICT, FigureRow


class Sales(FigureRow, table=True):
    __tablename__ = "sales"
    __table_args__ = STRICT

    bucket: int = Field(primary_key=True)
    product_id: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(primary_key=True, sa_type=Text)
    orders: int
    units_sold: int
    gross_minor: int
    refunds: int
    units_refunded: int
    refunded_minor: int


SALES = Projection(
    name="sales",
    title="Sales",
    table=Sales,
    key=("bucket", "product_id", "currency"),
    metrics=(
        Metric("orders", "Orders", Unit.COUNT),
        Metric("units_sold", "Units sold", Unit.COUNT),
        Metric("gross_minor", "Gross revenue", Unit.MONEY),
        Metric("refunds", "Refunds", Unit.COUNT),
        Metric("units_refunded", "Units refunded", Unit.COUNT),
        Metric("refunded_minor", "Refunded", Unit.MONEY),
    ),
    contributions={
        "PaymentCompleted": {
            "orders": pl.col("first_of_product"),
            "units_sold": pl.col("quantity"),
            "gross_minor": pl.col("amount_minor"),
        },
        "PaymentRefunded": {
            "refunds": pl.col("first_of_product"),
            "units_refunded": pl.col("quantity"),
            "refunded_minor": pl.col("amount_minor"),
        },
    },
)

NET = Ratio("net_minor", "Net revenue", Unit.MONEY, pl.col("gross_minor") - pl.col("refunded_minor"))
