"""The PostgreSQL SQL over the tables of figures, made from what each projection declares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import polars as pl

from .figure_table import schema_of, sum_keys, sums_schema, upsert_statement
from .projection import Projection
from .read_model import SumsAsked

if TYPE_CHECKING:
    from sqlalchemy import Column, Table

    from event_store.postgres_database import Connection


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
    return "".join(f"{statement};\n" for statement in statements)


def _table(projection: Projection) -> Table:
    table: Table = projection.table.__table__  # type: ignore[attr-defined]
    return table


def _type(column: Column[Any]) -> str:
    return "BIGINT" if column.type.python_type is int else 'TEXT COLLATE "C"'


def merge_statement(projection: Projection) -> str:
    """Merges rows into generation $1; they come as one array a column, $2 …, in key order."""
    arrays = ", ".join(f"${2 + at}::{name}" for at, name in enumerate(_array_types(projection)))
    return upsert_statement(projection, f"SELECT $1, * FROM unnest({arrays})")  # noqa: S608


def _array_types(projection: Projection) -> list[str]:
    return ["bigint[]" if kind == pl.Int64 else "text[]" for kind in schema_of(projection).values()]


def sums_statement(projection: Projection, *, by_product: bool, some_products: bool) -> str:
    """Sums over periods $2 (labels), $3 (starts), $4 (ends) and products $5."""
    keys = ", ".join(sum_keys(by_product=by_product))
    of_products = "AND product_id = ANY($5::text[])" if some_products else ""
    return f"""
        SELECT {keys}, {", ".join(f"sum({metric.name})::bigint" for metric in projection.metrics)}
        FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS p (period, first_bucket, end_bucket)
        JOIN {projection.table.__tablename__} ON bucket >= p.first_bucket AND bucket < p.end_bucket
        WHERE generation = $1 {of_products} GROUP BY {keys}
    """  # noqa: S608


async def sums(connection: Connection, generation: int, projection: Projection, asked: SumsAsked) -> pl.DataFrame:
    """See `Sums.rows`."""
    some_products = asked.products is not None
    statement = sums_statement(projection, by_product=asked.by_product, some_products=some_products)
    (labels, starts, ends) = ([getattr(one, name) for one in asked.periods] for name in ("label", "start", "end"))
    products = [] if asked.products is None else [list(asked.products)]
    try:
        found = await connection.fetch(statement, generation, labels, starts, ends, *products)
    except asyncpg.NumericValueOutOfRangeError as error:
        raise OverflowError(f"a sum of {projection.name} would go beyond 64 bits") from error
    rows = pl.DataFrame(
        [tuple(row) for row in found], schema=sums_schema(projection, by_product=asked.by_product), orient="row"
    )
    return rows.sort(sum_keys(by_product=asked.by_product))


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
    return pl.DataFrame(cells, schema=schema_of(projection)).sort(projection.key)
