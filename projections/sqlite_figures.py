"""The SQL over the tables of figures, made from what each projection declares."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import msgspec
import polars as pl
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from .figure_table import schema_of, sum_keys, sums_schema, upsert_statement
from .projection import Projection
from .read_model import SumsAsked

_DECODERS: Mapping[Any, Callable[[str], list[Any]]] = {
    pl.Int64: msgspec.json.Decoder(list[int]).decode,
    pl.String: msgspec.json.Decoder(list[str]).decode,
}


def schema(projections: Iterable[Projection]) -> str:
    """DDL of every projection's table, from its sqlmodel declaration; may run again."""
    statements = []
    for projection in projections:
        table = projection.table.__table__  # type: ignore[attr-defined]
        statements.append(str(CreateTable(table, if_not_exists=True).compile(dialect=sqlite.dialect())).strip())
    return "".join(f"{statement};\n" for statement in statements)


CHUNKS = tuple(1 << power for power in range(11, -1, -1))
"""Rows one upsert statement takes: powers of two, so that few statements serve and SQLite keeps each prepared."""


def cells_of(rows: pl.DataFrame, generation: int) -> list[Any]:
    """The rows' cells one after the other, each row's generation before it: what `merge_cells` takes."""
    columns = [column.to_list() for column in rows.get_columns()]
    return list(chain.from_iterable(zip(repeat(generation), *columns, strict=False)))


def merge_cells(connection: Any, statements: Mapping[int, str], cells: Sequence[Any], width: int) -> None:
    """Merges rows of `width` cells into a generation's figures, by the statements of `upsert_statements`.

    Many rows a statement: three times faster than one each, and the interpreter's lock changes hands once for them.
    """
    at = 0
    for size in CHUNKS:
        while len(cells) - at >= size * width:
            connection.execute(statements[size], cells[at : at + size * width])
            at += size * width


def upsert_statements(projection: Projection) -> dict[int, str]:
    """The upsert of each chunk size."""
    row = f"(?{', ?' * len(projection.columns)})"
    return {size: upsert_statement(projection, f"VALUES {', '.join([row] * size)}") for size in CHUNKS}


def sums_statement(projection: Projection, *, by_product: bool, some_products: bool) -> str:
    """Sums over :periods (JSON [[label, start, end], …])."""
    keys = sum_keys(by_product=by_product)
    of_products = "AND product_id IN (SELECT value FROM json_each(:products))" if some_products else ""
    return f"""
        SELECT {"product_id, " if by_product else ""}p.value ->> 0 AS period, currency,
            {", ".join(f"sum({metric.name})" for metric in projection.metrics)}
        FROM json_each(:periods) AS p CROSS JOIN {projection.table.__tablename__}
        WHERE generation = :generation AND bucket >= p.value ->> 1 AND bucket < p.value ->> 2 {of_products}
        GROUP BY {", ".join(keys)} ORDER BY {", ".join(keys)}
    """  # noqa: S608


def sums(connection: sqlite3.Connection, generation: int, projection: Projection, asked: SumsAsked) -> pl.DataFrame:
    """See `Sums.rows`."""
    some_products = asked.products is not None
    statement = sums_statement(projection, by_product=asked.by_product, some_products=some_products)
    values = {
        "generation": generation,
        "periods": json.dumps([(one.label, one.start, one.end) for one in asked.periods]),
        "products": json.dumps(list(asked.products)) if asked.products is not None else None,
    }
    try:
        found = connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError as error:
        if "integer overflow" not in str(error):
            raise
        raise OverflowError(f"a sum of {projection.name} would go beyond 64 bits") from error
    return pl.DataFrame(found, schema=sums_schema(projection, by_product=asked.by_product), orient="row")


def extent_statement(projections: Sequence[Projection]) -> str:
    """The first and the last bucket of generation ?1 over all figure projections."""
    tables = [one.table.__tablename__ for one in projections if "bucket" in one.key]
    firsts = " UNION ALL ".join(f"SELECT min(bucket) AS b FROM {one} WHERE generation = ?1" for one in tables)  # noqa: S608
    lasts = " UNION ALL ".join(f"SELECT max(bucket) AS b FROM {one} WHERE generation = ?1" for one in tables)  # noqa: S608
    return f"SELECT (SELECT min(b) FROM ({firsts})), (SELECT max(b) FROM ({lasts}))"  # noqa: S608


def columns_statement(projection: Projection) -> str:
    """Each column of generation ?1 as one JSON array: half the time of rows, which need an object for every cell."""
    columns = ", ".join(f"json_group_array({name})" for name in projection.columns)
    return f"SELECT {columns} FROM {projection.table.__tablename__} WHERE generation = ?1"  # noqa: S608


def frame_of(projection: Projection, columns: Sequence[str]) -> pl.DataFrame:
    """The rows that `columns_statement` answered with, in key order."""
    types = schema_of(projection)
    decoded = {name: _DECODERS[types[name]](text) for name, text in zip(projection.columns, columns, strict=True)}
    return pl.DataFrame(decoded, schema=types).sort(projection.key)
