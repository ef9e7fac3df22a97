"""Products and likes in SQLite, as one transaction sees them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from .commerce import Product

SELECT_PRODUCT = "SELECT product_id, name, price_minor, currency, version, likes FROM products WHERE product_id = ?"
SELECT_CURRENCIES = """
SELECT json_group_object(product_id, currency) FROM products WHERE product_id IN (SELECT value FROM json_each(?))
"""
PUT_PRODUCT = """
INSERT INTO products (product_id, name, price_minor, currency, version, likes) VALUES (?, ?, ?, ?, ?, 0)
ON CONFLICT (product_id) DO UPDATE SET
    name = excluded.name, price_minor = excluded.price_minor, currency = excluded.currency, version = excluded.version
"""
INSERT_LIKE = "INSERT INTO likes (product_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
DELETE_LIKE = "DELETE FROM likes WHERE product_id = ? AND user_id = ?"
COUNT_LIKE = "UPDATE products SET likes = likes + ? WHERE product_id = ?"


class SqliteProducts:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, product_id: str) -> Product | None:
        row = self._connection.execute(SELECT_PRODUCT, (product_id,)).fetchone()
        return None if row is None else Product(*row)

    def currencies(self, product_ids: Iterable[str]) -> dict[str, str]:
        """One row: each costs a turn at the interpreter's lock."""
        (currencies,) = self._connection.execute(SELECT_CURRENCIES, (json.dumps(list(product_ids)),)).fetchone()
        return dict(json.loads(currencies))

    def put(self, product: Product) -> None:
        values = (product.product_id, product.name, product.price_minor, product.currency, product.version)
        self._connection.execute(PUT_PRODUCT, values)

    def set_like(self, product_id: str, user_id: str, *, liked: bool) -> bool:
        statement = INSERT_LIKE if liked else DELETE_LIKE
        changed = self._connection.execute(statement, (product_id, user_id)).rowcount > 0
        if changed:
            self._connection.execute(COUNT_LIKE, (1 if liked else -1, product_id))
        return changed
