"""Bookkeeping: every command of the shop, entered in its books, alike in every database.

A command is decided before anything of it is entered, so one that is refused leaves no trace.

Kept under an idempotency key are successes and the refusals that are decided here (unknown, in conflict, more than
was paid): the same call then gets the same answer for as long as it is kept. A call that never got so far (its body
can't be read, the database is away) leaves nothing, and may come again with the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from .books import Books, KeptAnswer
from .commerce import (
    Answer,
    Command,
    GiveRefund,
    ListProduct,
    Once,
    Pay,
    PlaceOrder,
    RecordView,
    SetLike,
    TakeIn,
    encode,
)
from .event_entries import take_in
from .order_entries import pay, place_order
from .product_entries import list_product, record_view, record_views, set_like
from .recording import microseconds
from .refund_entries import give_refund
from .refusals import KEY_REUSED, KINDS, Refusal, Refused

Call = tuple[Command, Once | None]
Outcome = Answer | Exception
Perform = Callable[[Books, Command, Once | None], Outcome]


def perform_all(books: Books, calls: Sequence[Call], perform_one: Perform) -> list[Outcome]:
    """Views, by far the most, go together after all others; every call is judged for itself."""
    outcomes: list[Any] = [None] * len(calls)
    views: list[RecordView] = []
    at: list[int] = []
    for index, (command, once) in enumerate(calls):
        if once is None and type(command) is RecordView:
            views.append(command)
            at.append(index)
        else:
            outcomes[index] = perform_one(books, command, once)
    if views:
        for index, outcome in zip(at, record_views(books, views), strict=True):
            outcomes[index] = outcome
    return outcomes


def perform(books: Books, command: Command, once: Once | None) -> Answer | Refused:
    """One call: performed or refused, or answered as it was before."""
    if once is None:
        return _judged(books, command)
    kept = books.answers.find(once)
    if kept is not None:
        return _given_again(kept, once)
    outcome = _judged(books, command)
    books.answers.keep(once, _kept(once, outcome), microseconds(books.recording.now))
    return outcome


def _judged(books: Books, command: Command) -> Answer | Refused:
    try:
        return PERFORM[type(command)](books, command)
    except Refused as refused:
        return refused


def _given_again(kept: KeptAnswer, once: Once) -> Answer | Refused:
    if kept.fingerprint != once.fingerprint:
        return Refused(KEY_REUSED, "A key stands for one call: the same body again, or another key.")
    if kept.status < 400:
        return Answer(kept.status, kept.body, kept.location, replayed=True)
    refusal = msgspec.json.decode(kept.body, type=Refusal)
    return Refused(KINDS[refusal.slug], refusal.detail, refusal.errors, replayed=True)


def _kept(once: Once, outcome: Answer | Refused) -> KeptAnswer:
    if isinstance(outcome, Refused):
        return KeptAnswer(once.fingerprint, outcome.kind.status, encode(outcome.refusal), None)
    return KeptAnswer(once.fingerprint, outcome.status, outcome.body, outcome.location)


PERFORM: Mapping[type[Command], Callable[[Books, Any], Answer]] = {
    ListProduct: list_product,
    RecordView: record_view,
    SetLike: set_like,
    PlaceOrder: place_order,
    Pay: pay,
    GiveRefund: give_refund,
    TakeIn: take_in,
}
