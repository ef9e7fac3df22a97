"""Products, views and likes in SQLite: each function is a part of one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from event_store.events import LikeChanged, ProductListed, ProductView

from .commerce import Answer, Like, ListProduct, Product, RecordView, SetLike, ViewAccepted, encode
from .recording import Recording
from .refusals import UNKNOWN_PRODUCT, Refused

SELECT_PRODUCT = "SELECT product_id, name, price_minor, currency, version, likes FROM products WHERE product_id = ?"
SELECT_CURRENCIES = """
SELECT json_group_object(product_id, currency) FROM products WHERE product_id IN (SELECT value FROM json_each(?))
"""
INSERT_PRODUCT = """
INSERT INTO products (product_id, name, price_minor, currency, version, likes) VALUES (?, ?, ?, ?, 1, 0)
"""
UPDATE_PRODUCT = """
UPDATE products SET name = ?, price_minor = ?, currency = ?, version = version + 1 WHERE product_id = ?
"""
INSERT_LIKE = "INSERT INTO likes (product_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
DELETE_LIKE = "DELETE FROM likes WHERE product_id = ? AND user_id = ?"
COUNT_LIKE = "UPDATE products SET likes = likes + ? WHERE product_id = ?"


def list_product(connection: sqlite3.Connection, command: ListProduct, recording: Recording) -> Answer:
    known = find_product(connection, command.product_id)
    wanted = (command.name, command.price_minor, command.currency)
    if known is None:
        connection.execute(INSERT_PRODUCT, (command.product_id, *wanted))
    elif wanted != (known.name, known.price_minor, known.currency):
        connection.execute(UPDATE_PRODUCT, (*wanted, command.product_id))
    else:
        return Answer(200, encode(known))
    product = Product(command.product_id, *wanted, known.version + 1 if known else 1, known.likes if known else 0)
    recording.add(ProductListed(product.product_id, product.version, *wanted), recording.now)
    return Answer(201 if known is None else 200, encode(product))


def record_views(
    connection: sqlite3.Connection, commands: Sequence[RecordView], recording: Recording
) -> list[Answer | Exception]:
    """Any number of views with one look at their products; a view of none that is listed is refused by itself."""
    currencies = listed_currencies(connection, (command.product_id for command in commands))
    answers: list[Answer | Exception] = []
    for command in commands:
        currency = currencies.get(command.product_id)
        if currency is None:
            answers.append(_unknown(command.product_id))
        else:
            event = ProductView(command.product_id, command.visitor_id, currency)
            answers.append(Answer(202, encode(ViewAccepted(recording.add(event, command.at)))))
    return answers


def record_view(connection: sqlite3.Connection, command: RecordView, recording: Recording) -> Answer:
    (answer,) = record_views(connection, [command], recording)
    if isinstance(answer, Exception):
        raise answer
    return answer


def set_like(connection: sqlite3.Connection, command: SetLike, recording: Recording) -> Answer:
    product = find_product(connection, command.product_id)
    if product is None:
        raise _unknown(command.product_id)
    statement = INSERT_LIKE if command.liked else DELETE_LIKE
    changed = connection.execute(statement, (command.product_id, command.user_id)).rowcount > 0
    likes = product.likes
    if changed:
        likes += 1 if command.liked else -1
        connection.execute(COUNT_LIKE, (1 if command.liked else -1, command.product_id))
        event = LikeChanged(command.product_id, command.user_id, product.currency, 1 if command.liked else -1)
        recording.add(event, recording.now)
    return Answer(200, encode(Like(command.product_id, command.user_id, command.liked, changed, likes)))


def find_product(connection: sqlite3.Connection, product_id: str) -> Product | None:
    row = connection.execute(SELECT_PRODUCT, (product_id,)).fetchone()
    return None if row is None else Product(*row)


def listed_currencies(connection: sqlite3.Connection, product_ids: Iterable[str]) -> dict[str, str]:
    """The currency of each of the products that is listed. One row: each costs a turn at the interpreter's lock."""
    (currencies,) = connection.execute(SELECT_CURRENCIES, (json.dumps(list(set(product_ids))),)).fetchone()
    return dict(json.loads(currencies))


def _unknown(product_id: str) -> Refused:
    return Refused(UNKNOWN_PRODUCT, f"No product {product_id!r} is listed: PUT /v1/products/{{product_id}} lists it.")
