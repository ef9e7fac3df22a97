"""What a database's tables are, whatever statements made them: two shapes are equal where nothing tells them apart.

The order of columns is left out: a column that was added later stands last.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import asyncpg

Shape = Mapping[str, object]
"""What there is, by kind and name → how it is."""

_CHECK = re.compile(r"CHECK ?\((?:[^()]|\([^()]*\))*\)")

POSTGRES_SHAPES = {
    "column": """
SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
    pg_get_expr(d.adbin, d.adrelid), l.collname
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
""",
    "table": """
SELECT relname, array_to_string(reloptions, ',') FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
""",
    "constraint": """
SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
""",
    "index": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "trigger": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "function": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
}


async def postgres_shape(url: str) -> Shape:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    shape: dict[str, object] = {}
    for kind, select in POSTGRES_SHAPES.items():
        for name, *rest in await connection.fetch(select):
            shape[f"{kind} {name}"] = tuple(rest)
    await connection.close()
    return shape


def sqlite_shape(path: Path) -> Shape:
    connection = sqlite3.connect(path)
    shape: dict[str, object] = {}
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    for kind, name, table, sql in rows.fetchall():
        if kind == "table":
            shape |= _sqlite_table(connection, name, sql)
        else:
            shape[f"{kind} {name}"] = (table, _plain(sql))
    connection.close()
    return shape


def _sqlite_table(connection: sqlite3.Connection, name: str, sql: str) -> Shape:
    columns = {
        f"column {name}.{row[1]}": row[2:] for row in connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
    }
    (options,) = connection.execute("SELECT wr, strict FROM pragma_table_list WHERE name = ?", (name,)).fetchall()
    keys = sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})"))
    unique = sorted(
        [column for *_, column in connection.execute(f"PRAGMA index_info({row[1]})")]
        for row in connection.execute(f"PRAGMA index_list({name})").fetchall()
        if row[3] == "u"
    )
    checks = sorted(map(_plain, _CHECK.findall(sql)))
    return {**columns, f"table {name}": (options, keys, unique, checks, "AUTOINCREMENT" in sql)}


def _plain(sql: str) -> str:
    return re.sub(r"\s+", " ", sql.replace("IF NOT EXISTS ", "").replace('"', "")).strip()
