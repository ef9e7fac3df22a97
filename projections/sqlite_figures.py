"""The SQL over the tables of figures, made from what each projection declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import msgspec
import polars as pl
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from .metric import Merge
from .projection import Projection

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
        indexes = [CreateIndex(index, if_not_exists=True) for index in table.indexes]
        statements += [str(index.compile(dialect=sqlite.dialect())) for index in indexes]
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
    return {size: _upsert_statement(projection, size) for size in CHUNKS}


def _upsert_statement(projection: Projection, size: int) -> str:
    table = projection.table.__tablename__
    columns = ", ".join(projection.columns)
    row = f"(?{', ?' * len(projection.columns)})"
    merges = ", ".join(_merge(str(table), metric.name, metric.merge) for metric in projection.metrics)
    newer = _newer(str(table), projection) if _is_versioned(projection) else ""
    return (
        f"INSERT INTO {table} (generation, {columns}) VALUES {', '.join([row] * size)} "  # noqa: S608
        f"ON CONFLICT DO UPDATE SET {merges}{newer}"
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


def sums_statement(projection: Projection, *, by_product: bool, some_products: bool) -> tuple[str, dict[str, Any]]:
    """Sums over :periods (JSON [[label, start, end], …]) and the schema of the answer."""
    keys = [*(["product_id"] if by_product else []), "period", "currency"]
    metrics = [metric.name for metric in projection.metrics]
    of_products = "AND product_id IN (SELECT value FROM json_each(:products))" if some_products else ""
    statement = f"""
        SELECT {"product_id, " if by_product else ""}p.value ->> 0 AS period, currency,
            {", ".join(f"sum({name})" for name in metrics)}
        FROM json_each(:periods) AS p CROSS JOIN {projection.table.__tablename__}
        WHERE generation = :generation AND bucket >= p.value ->> 1 AND bucket < p.value ->> 2 {of_products}
        GROUP BY {", ".join(keys)} ORDER BY {", ".join(keys)}
    """  # noqa: S608
    columns: dict[str, Any] = dict.fromkeys(keys, pl.String)
    return statement, columns | dict.fromkeys(metrics, pl.Int64)


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
    types = schema_of(projection, projection.columns)
    decoded = {name: _DECODERS[types[name]](text) for name, text in zip(projection.columns, columns, strict=True)}
    return pl.DataFrame(decoded, schema=types).sort(projection.key)


def schema_of(projection: Projection, columns: Sequence[str]) -> dict[str, Any]:
    types = projection.table.__table__.columns  # type: ignore[attr-defined]
    return {name: pl.Int64 if types[name].type.python_type is int else pl.String for name in columns}
