"""The catalogue: every projection and every derived figure there is."""

from __future__ import annotations

from .interest import CONVERSION, INTEREST, LIKE_RATE
from .listings import LISTINGS
from .metric import Metric, Ratio
from .returns import REFUND_RATE, RETURNS, UNTRACED
from .sales import NET, SALES

PROJECTIONS = (SALES, INTEREST, RETURNS, LISTINGS)
"""Add a projection: its file, and its name here."""

FIGURES = (SALES, INTEREST, RETURNS)
"""The projections whose metrics are figures per product, currency and bucket."""

DERIVED: tuple[Ratio, ...] = (NET, *UNTRACED, REFUND_RATE, CONVERSION, LIKE_RATE)

METRICS: tuple[Metric, ...] = tuple(metric for projection in FIGURES for metric in projection.metrics)
