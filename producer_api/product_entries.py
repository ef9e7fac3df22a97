"""Products, their views and likes, as they are entered in the books."""

from __future__ import annotations

from collections.abc import Sequence

from event_store.events import LikeChanged, ProductListed, ProductView

from .books import Books
from .commerce import Answer, Like, ListProduct, Product, RecordView, SetLike, ViewAccepted, encode
from .refusals import UNKNOWN_PRODUCT, Refused


def list_product(books: Books, command: ListProduct) -> Answer:
    known = books.products.find(command.product_id)
    wanted = (command.name, command.price_minor, command.currency)
    if known is not None and wanted == (known.name, known.price_minor, known.currency):
        return Answer(200, encode(known))
    product = Product(command.product_id, *wanted, known.version + 1 if known else 1, known.likes if known else 0)
    listed = ProductListed(product.product_id, product.version, *wanted)
    books.recording.add(listed, books.recording.now, command.traceparent)
    books.products.put(product)
    return Answer(201 if known is None else 200, encode(product))


def record_views(books: Books, commands: Sequence[RecordView]) -> list[Answer | Refused]:
    """Any number of views with one look at their products; a view of none that is listed is refused by itself."""
    currencies = books.products.currencies({command.product_id for command in commands})
    answers: list[Answer | Refused] = []
    for command in commands:
        currency = currencies.get(command.product_id)
        if currency is None:
            answers.append(_unknown_product(command.product_id))
        else:
            event = ProductView(command.product_id, command.visitor_id, currency)
            event_id = books.recording.add(event, command.at, command.traceparent)
            answers.append(Answer(202, encode(ViewAccepted(event_id))))
    return answers


def record_view(books: Books, command: RecordView) -> Answer:
    (answer,) = record_views(books, [command])
    if isinstance(answer, Refused):
        raise answer
    return answer


def set_like(books: Books, command: SetLike) -> Answer:
    product = books.products.find(command.product_id)
    if product is None:
        raise _unknown_product(command.product_id)
    changed = books.products.set_like(command.product_id, command.user_id, liked=command.liked)
    likes = product.likes
    if changed:
        event = LikeChanged(command.product_id, command.user_id, product.currency, 1 if command.liked else -1)
        books.recording.add(event, books.recording.now, command.traceparent)
        likes += event.delta
    return Answer(200, encode(Like(command.product_id, command.user_id, command.liked, changed, likes)))


def _unknown_product(product_id: str) -> Refused:
    return Refused(UNKNOWN_PRODUCT, f"No product {product_id!r} is listed: PUT /v1/products/{{product_id}} lists it.")
