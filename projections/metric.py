"""Metrics: what a figure is called, what it counts, in which unit, and how two of it become one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import polars as pl


class Unit(StrEnum):
    COUNT = "count"
    MONEY = "minor units of the row's currency"
    RATIO = "ratio"


class Merge(StrEnum):
    """How increments of one cell combine. All commute, so order, lateness and batch splits can't change a figure."""

    ADD = "add"
    LATEST = "latest"
    """The value of the highest row stays, compared by the projection's metrics in their order, `version` first."""


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    title: str
    unit: Unit
    merge: Merge = Merge.ADD


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure derived on read, from sums over whatever range was asked for; never stored, since it doesn't add up."""

    name: str
    title: str
    unit: Unit
    expression: pl.Expr
