"""What the tables of figures share in every database: their columns, the merge of rows into them, the shape of sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from .metric import Merge
from .projection import Projection


def schema_of(projection: Projection) -> dict[str, Any]:
    """The projection's columns, each with its type."""
    types = projection.table.__table__.columns  # type: ignore[attr-defined]
    return {name: pl.Int64 if types[name].type.python_type is int else pl.String for name in projection.columns}


def joined(projection: Projection, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Stretches of the projection's rows, one after the other."""
    return pl.concat([pl.DataFrame(schema=schema_of(projection)), *parts])


def sum_keys(*, by_product: bool) -> list[str]:
    """The columns that sums are told apart by, in order."""
    return [*(["product_id"] if by_product else []), "period", "currency"]


def sums_schema(projection: Projection, *, by_product: bool) -> dict[str, Any]:
    keys: dict[str, Any] = dict.fromkeys(sum_keys(by_product=by_product), pl.String)
    return keys | {metric.name: pl.Int64 for metric in projection.metrics}


def upsert_statement(projection: Projection, rows: str) -> str:
    """Merges rows into the table; `rows` is SQL for them, each with its generation before its columns."""
    table = projection.table.__tablename__
    merges = ", ".join(_merge(str(table), metric.name, metric.merge) for metric in projection.metrics)
    newer = _newer(str(table), projection) if _is_versioned(projection) else ""
    return (
        f"INSERT INTO {table} (generation, {', '.join(projection.columns)}) {rows} "
        f"ON CONFLICT (generation, {', '.join(projection.key)}) DO UPDATE SET {merges}{newer}"
    )


def _is_versioned(projection: Projection) -> bool:
    return any(metric.merge is Merge.LATEST for metric in projection.metrics)


def _newer(table: str, projection: Projection) -> str:
    names = [metric.name for metric in projection.metrics]
    (ours, theirs) = (", ".join(f"{side}.{name}" for name in names) for side in (table, "excluded"))
    return f" WHERE ({theirs}) > ({ours})"


def _merge(table: str, column: str, merge: Merge) -> str:
    if merge is Merge.LATEST:
        return f"{column} = excluded.{column}"
    return f"{column} = {table}.{column} + excluded.{column}"
