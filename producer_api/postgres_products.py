"""Products and likes in PostgreSQL, as one transaction sees them: read for a whole group, written at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from event_store.postgres_database import columns_of

from .commerce import Command, ListProduct, PlaceOrder, Product, RecordView, SetLike

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

LOCK_PRODUCTS = """
SELECT product_id, name, price_minor, currency, version, likes FROM products
WHERE product_id = ANY($1::text[]) ORDER BY product_id FOR NO KEY UPDATE
"""
SELECT_CURRENCIES = "SELECT product_id, currency FROM products WHERE product_id = ANY($1::text[])"
SELECT_LIKES = """
SELECT product_id, user_id FROM unnest($1::text[], $2::text[]) AS asked (product_id, user_id)
JOIN likes USING (product_id, user_id)
"""
INSERT_PRODUCTS = """
INSERT INTO products (product_id, name, price_minor, currency, version, likes)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[])
"""
UPDATE_PRODUCTS = """
UPDATE products AS p
SET name = n.name, price_minor = n.price_minor, currency = n.currency, version = n.version, likes = n.likes
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[])
    AS n (product_id, name, price_minor, currency, version, likes)
WHERE p.product_id = n.product_id
"""
INSERT_LIKES = "INSERT INTO likes (product_id, user_id) SELECT * FROM unnest($1::text[], $2::text[])"
DELETE_LIKES = """
DELETE FROM likes AS l USING unnest($1::text[], $2::text[]) AS gone (product_id, user_id)
WHERE l.product_id = gone.product_id AND l.user_id = gone.user_id
"""


class PostgresProducts:
    """What changes a product, its likes among them, locks it first; a view or an order only looks at its currency."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._locked = {one.product_id for one in commands if isinstance(one, ListProduct | SetLike)}
        self._asked_likes = {(one.product_id, one.user_id) for one in commands if isinstance(one, SetLike)}
        self._seen = {one.product_id for one in commands if isinstance(one, RecordView)}
        self._seen |= {line.product_id for one in commands if isinstance(one, PlaceOrder) for line in one.lines}
        self._stored: dict[str, Product] = {}
        self._products: dict[str, Product] = {}
        self._currencies: dict[str, str] = {}
        self._stored_likes: set[tuple[str, str]] = set()
        self._likes: set[tuple[str, str]] = set()

    async def lock(self, connection: Connection) -> None:
        if self._locked:
            rows = await connection.fetch(LOCK_PRODUCTS, list(self._locked))
            self._stored = {row[0]: Product(*row) for row in rows}
            self._products = dict(self._stored)
            self._currencies = {product.product_id: product.currency for product in self._stored.values()}

    async def read(self, connection: Connection) -> None:
        if self._seen - self._locked:
            rows = await connection.fetch(SELECT_CURRENCIES, list(self._seen - self._locked))
            self._currencies.update((row[0], row[1]) for row in rows)
        if self._asked_likes:
            rows = await connection.fetch(SELECT_LIKES, *columns_of(self._asked_likes))
            self._stored_likes = {(row[0], row[1]) for row in rows}
            self._likes = set(self._stored_likes)

    async def write(self, connection: Connection) -> None:
        new = {product_id: one for product_id, one in self._products.items() if product_id not in self._stored}
        changed = {product_id: one for product_id, one in self._stored.items() if one != self._products[product_id]}
        if new:
            await connection.execute(INSERT_PRODUCTS, *_values(self._products, new))
        if changed:
            await connection.execute(UPDATE_PRODUCTS, *_values(self._products, changed))
        if self._likes - self._stored_likes:
            await connection.execute(INSERT_LIKES, *columns_of(sorted(self._likes - self._stored_likes)))
        if self._stored_likes - self._likes:
            await connection.execute(DELETE_LIKES, *columns_of(sorted(self._stored_likes - self._likes)))

    def find(self, product_id: str) -> Product | None:
        return self._products.get(product_id)

    def currencies(self, product_ids: Iterable[str]) -> dict[str, str]:
        return {one: self._currencies[one] for one in product_ids if one in self._currencies}

    def put(self, product: Product) -> None:
        self._products[product.product_id] = product
        self._currencies[product.product_id] = product.currency

    def set_like(self, product_id: str, user_id: str, *, liked: bool) -> bool:
        like = (product_id, user_id)
        if (like in self._likes) == liked:
            return False
        product = self._products[product_id]
        self._products[product_id] = _with_likes(product, product.likes + (1 if liked else -1))
        if liked:
            self._likes.add(like)
        else:
            self._likes.discard(like)
        return True


def _with_likes(product: Product, likes: int) -> Product:
    (name, price_minor, currency) = (product.name, product.price_minor, product.currency)
    return Product(product.product_id, name, price_minor, currency, product.version, likes)


def _values(products: dict[str, Product], ids: Iterable[str]) -> list[list[object]]:
    wanted = [products[product_id] for product_id in sorted(ids)]
    return columns_of(
        (one.product_id, one.name, one.price_minor, one.currency, one.version, one.likes) for one in wanted
    )
