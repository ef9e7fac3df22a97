"""The PostgreSQL SQL over the tables of figures, made from what each projection declares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from .metric import Merge
from .projection import Projection

if TYPE_CHECKING:
    from sqlalchemy import Column, Table


ROOM = "WITH (fillfactor = 70)"
"""Rows of the last buckets change again and again: with room on its page a row's indexes stay as they are."""


def schema(projections: Iterable[Projection]) -> str:
    """DDL of every projection's table, from its sqlmodel declaration; may run again.

    64 bits for every number, and texts in the order of their bytes, as everywhere else that figures are compared.
    """
    statements = []
    for projection in projections:
        table = _table(projection)
        columns = ", ".join(f"{column.name} {_type(column)} NOT NULL" for column in table.columns)
        key = ", ".join(column.name for column in table.primary_key.columns)
        name = f"CONSTRAINT {table.primary_key.name} " if table.primary_key.name else ""
        statements.append(f"CREATE TABLE IF NOT EXISTS {table.name} ({columns}, {name}PRIMARY KEY ({key})) {ROOM}")
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            indexed = ", ".join(column.name for column in index.columns)
            statements.append(f"CREATE INDEX IF NOT EXISTS {index.name} ON {table.name} ({indexed})")
    return "".join(f"{statement};\n" for statement in statements)


def _table(projection: Projection) -> Table:
    table: Table = projection.table.__table__  # type: ignore[attr-defined]
    return table


def _type(column: Column[Any]) -> str:
    return "BIGINT" if column.type.python_type is int else 'TEXT COLLATE "C"'


def upsert_statement(projection: Projection) -> str:
    """Merges rows into generation $1; they come as one array a column, $2 …, in key order."""
    table = projection.table.__tablename__
    columns = ", ".join(projection.columns)
    arrays = ", ".join(f"${2 + at}::{name}" for at, name in enumerate(_array_types(projection)))
    merges = ", ".join(_merge(str(table), metric.name, metric.merge) for metric in projection.metrics)
    newer = _newer(str(table), projection) if _is_versioned(projection) else ""
    return (
        f"INSERT INTO {table} (generation, {columns}) SELECT $1, * FROM unnest({arrays}) "  # noqa: S608
        f"ON CONFLICT (generation, {', '.join(projection.key)}) DO UPDATE SET {merges}{newer}"
    )


def _array_types(projection: Projection) -> list[str]:
    types = schema_of(projection, projection.columns)
    return ["bigint[]" if types[name] == pl.Int64 else "text[]" for name in projection.columns]


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


def sums_statement(projection: Projection, *, by_product: bool, some_products: bool) -> tuple[str, dict[str, Any]]:
    """Sums over periods $2 (labels), $3 (starts), $4 (ends) and products $5, and the schema of the answer."""
    keys = [*(["product_id"] if by_product else []), "period", "currency"]
    metrics = [metric.name for metric in projection.metrics]
    of_products = "AND product_id = ANY($5::text[])" if some_products else ""
    statement = f"""
        SELECT {", ".join(keys)}, {", ".join(f"sum({name})::bigint" for name in metrics)}
        FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS p (period, first_bucket, end_bucket)
        JOIN {projection.table.__tablename__} ON bucket >= p.first_bucket AND bucket < p.end_bucket
        WHERE generation = $1 {of_products} GROUP BY {", ".join(keys)}
    """  # noqa: S608
    columns: dict[str, Any] = dict.fromkeys(keys, pl.String)
    return statement, columns | dict.fromkeys(metrics, pl.Int64)


def extent_statement(projections: Sequence[Projection]) -> str:
    """The first and the last bucket of generation $1 over all figure projections."""
    tables = [one.table.__tablename__ for one in projections if "bucket" in one.key]
    firsts = ", ".join(f"(SELECT min(bucket) FROM {one} WHERE generation = $1)" for one in tables)  # noqa: S608
    lasts = ", ".join(f"(SELECT max(bucket) FROM {one} WHERE generation = $1)" for one in tables)  # noqa: S608
    return f"SELECT least({firsts}), greatest({lasts})"


def columns_statement(projection: Projection) -> str:
    """Each column of generation $1 as one array: faster than rows, which need an object for every cell."""
    columns = ", ".join(f"array_agg({name})" for name in projection.columns)
    return f"SELECT {columns} FROM {projection.table.__tablename__} WHERE generation = $1"  # noqa: S608


def frame_of(projection: Projection, columns: Iterable[Sequence[Any] | None]) -> pl.DataFrame:
    """The rows that `columns_statement` answered with, in key order."""
    cells = {name: column or [] for name, column in zip(projection.columns, columns, strict=True)}
    return pl.DataFrame(cells, schema=schema_of(projection, projection.columns)).sort(projection.key)


def schema_of(projection: Projection, columns: Sequence[str]) -> dict[str, Any]:
    types = _table(projection).columns
    return {name: pl.Int64 if types[name].type.python_type is int else pl.String for name in columns}
