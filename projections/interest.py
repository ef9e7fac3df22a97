"""Interest: views and likes per product, currency it was offered in, and 15 minutes."""

from __future__ import annotations

import polars as pl
from sqlalchemy import Text
from sqlmodel import Field

from .metric import Metric, Ratio, Unit
from .projection import Projection
from .tables import STRICT, FigureRow


class Interest(FigureRow, table=True):
    __tablename__ = "interest"
    __table_args__ = STRICT

    bucket: int = Field(primary_key=True)
    product_id: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(primary_key=True, sa_type=Text)
    views: int
    likes: int


INTEREST = Projection(
    name="interest",
    title="Interest",
    table=Interest,
    key=("bucket", "product_id", "currency"),
    metrics=(
        Metric("views", "Views", Unit.COUNT),
        Metric("likes", "Likes", Unit.COUNT),
    ),
    contributions={
        "ProductView": {"views": pl.lit(1, pl.Int64)},
        "LikeChanged": {"likes": pl.col("delta")},
    },
)

CONVERSION = Ratio("conversion", "Conversion (orders per view)", Unit.RATIO, pl.col("orders") / pl.col("views"))
LIKE_RATE = Ratio("like_rate", "Likes per view", Unit.RATIO, pl.col("likes") / pl.col("views"))
