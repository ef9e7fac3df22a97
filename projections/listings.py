"""Listings: how each product stands in the catalogue, by its highest version."""

from __future__ import annotations

import polars as pl
from sqlalchemy import Text
from sqlmodel import Field

from .metric import Merge, Metric, Unit
from .projection import Projection
from .tables import STRICT, FigureRow


class Listing(FigureRow, table=True):
    __tablename__ = "listing"
    __table_args__ = STRICT

    product_id: str = Field(primary_key=True, sa_type=Text)
    version: int
    name: str = Field(sa_type=Text)
    price_minor: int
    currency: str = Field(sa_type=Text)


LISTINGS = Projection(
    name="listing",
    title="Listings",
    table=Listing,
    key=("product_id",),
    metrics=(
        Metric("version", "Version", Unit.COUNT, Merge.LATEST),
        Metric("name", "Name", Unit.COUNT, Merge.LATEST),
        Metric("price_minor", "Price", Unit.MONEY, Merge.LATEST),
        Metric("currency", "Currency", Unit.COUNT, Merge.LATEST),
    ),
    contributions={
        "ProductListed": {name: pl.col(name) for name in ("version", "name", "price_minor", "currency")},
    },
)
