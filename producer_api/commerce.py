"""The commerce port: what the shop is asked to record, and what it answers.

A command is performed whole or not at all: the state it changes, the outbox row that says so and the answer kept
under its idempotency key are one transaction, and the answer is given after COMMIT. Back ends: `sqlite_commerce` and
`postgres_commerce`; what a command does is the same in both, see `bookkeeping`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from event_store.codec import Draft
from event_store.events import AmountMinor, Quantity
from event_store.outbox import LaneStatus

ID_PATTERN = r"^(?!\.{1,2}$)[^\x00-\x1f\x7f-\x9f/\ufffd]+$(?!\n)"
"""U+FFFD is what a decoder leaves for bytes it can't read: two unreadable ids must not become one."""
NAME_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
CURRENCY_PATTERN = r"^[A-Z]{3}$(?!\n)"
PATTERNS = {
    ID_PATTERN: "any text without control characters, '/' and U+FFFD, and neither '.' nor '..'",
    NAME_PATTERN: "any text without control characters",
    CURRENCY_PATTERN: "an ISO 4217 code such as GBP",
}
"""What each pattern of a field means, for whoever breaks it."""

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=ID_PATTERN, description=PATTERNS[ID_PATTERN])]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=NAME_PATTERN, description=PATTERNS[NAME_PATTERN])]
Currency = Annotated[str, Meta(pattern=CURRENCY_PATTERN, description=PATTERNS[CURRENCY_PATTERN])]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its time zone")]
Outcome = Literal["completed", "failed"]

MAX_LINES = 2000
MAX_INTAKE_EVENTS = 500


class BasketLine(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an order or a refund; `amount_minor` is for the whole line, not for one unit."""

    product_id: Id
    quantity: Quantity
    amount_minor: AmountMinor


BasketLines = Annotated[list[BasketLine], Meta(min_length=1, max_length=MAX_LINES)]


class Asked(Struct, frozen=True, kw_only=True):
    """What every command may carry."""

    traceparent: str | None = None
    """The trace context of the request, for the events that come of it; see event_store/traceparent.py."""


class ListProduct(Asked, frozen=True):
    product_id: str
    name: str
    price_minor: int
    currency: str


class RecordView(Asked, frozen=True):
    product_id: str
    visitor_id: str
    at: datetime


class SetLike(Asked, frozen=True):
    product_id: str
    user_id: str
    liked: bool


class PlaceOrder(Asked, frozen=True):
    order_id: str
    currency: str | None
    """None: that of its products."""
    buyer_id: str | None
    lines: list[BasketLine]


class Pay(Asked, frozen=True):
    order_id: str
    payment_id: str
    outcome: Outcome
    at: datetime


class GiveRefund(Asked, frozen=True):
    refund_id: str
    order_id: str | None
    currency: str | None
    """None: that of its order."""
    lines: list[BasketLine]
    at: datetime | None
    """None: now."""


class JudgedEvent(Struct, frozen=True):
    """One event of an intake: its outbox row, or why it gets none."""

    id: str | None
    source: str | None
    draft: Draft | None
    reason: str = ""
    detail: str = ""


class TakeIn(Asked, frozen=True):
    events: list[JudgedEvent]


Command = ListProduct | RecordView | SetLike | PlaceOrder | Pay | GiveRefund | TakeIn


class Once(Struct, frozen=True):
    """What makes a call the same call again."""

    key: str
    endpoint: str
    """Method and path: one key may be used once for each."""
    fingerprint: bytes
    """SHA-256 of the body."""


class Answer(Struct, frozen=True):
    """How a performed command is answered, in HTTP's terms, so that it can be kept and given again byte for byte."""

    status: int
    body: bytes
    location: str | None = None
    replayed: bool = False
    """Given before; nothing was changed this time."""


class Product(Struct, frozen=True):
    product_id: str
    name: str
    price_minor: int
    currency: str
    version: int
    """Counts up by one with every change."""
    likes: int


class ViewAccepted(Struct, frozen=True):
    event_id: str


class Like(Struct, frozen=True):
    product_id: str
    user_id: str
    liked: bool
    changed: bool
    likes: int
    """Of the product, after this call."""


class OrderPlaced(Struct, frozen=True):
    order_id: str
    status: Literal["pending", "paid", "cancelled"]
    currency: str
    amount_minor: int


class OrderPayment(Struct, frozen=True):
    payment_id: str
    outcome: Outcome
    at: datetime


class Order(Struct, frozen=True):
    order_id: str
    status: Literal["pending", "paid", "cancelled"]
    currency: str
    amount_minor: int
    refunded_minor: int
    buyer_id: str | None
    placed_at: datetime
    payment: OrderPayment | None
    lines: list[BasketLine]


class Payment(Struct, frozen=True):
    payment_id: str
    order_id: str
    outcome: Outcome
    order_status: Literal["paid", "cancelled"]
    currency: str
    amount_minor: int
    at: datetime
    event_id: str


class Refund(Struct, frozen=True):
    refund_id: str
    order_id: str | None
    currency: str
    amount_minor: int
    at: datetime
    event_id: str


class IntakeResult(Struct, frozen=True, omit_defaults=True):
    id: str | None
    source: str | None
    status: Literal["accepted", "duplicate", "refused"]
    reason: str = ""
    """A stable upper-case word."""
    detail: str = ""


class IntakeReport(Struct, frozen=True):
    results: list[IntakeResult]


class Backlog(Struct, frozen=True):
    """What the relay has not brought to the log yet."""

    rows: int
    oldest_s: float
    """Age of the oldest of them; 0 without any."""

    @classmethod
    def of(cls, lanes: Iterable[LaneStatus]) -> Backlog:
        waiting = [(lane.ready + lane.claimed, lane.oldest_waiting_us) for lane in lanes]
        oldest_us = min((since_us for _, since_us in waiting if since_us is not None), default=None)
        oldest_s = 0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6)
        return cls(sum(rows for rows, _ in waiting), oldest_s)


class Commerce(Protocol):
    async def prepare(self) -> None:
        """Comes before the rest, and makes the tables and lanes where they are missing."""
        ...

    async def perform(self, command: Command, once: Once | None = None) -> Answer:
        """Performs `command` and answers after its COMMIT, or, for a `once` seen before, with the answer it got then.

        Raises Refused, having changed nothing, and StorageUnavailable with the outcome unknown: the same call with
        the same `once` or the same ids is safe. Cancelling does not tell whether it was performed.
        """
        ...

    async def product(self, product_id: str) -> Product | None: ...

    async def products(self, after: str, most: int) -> Sequence[Product]:
        """At most `most` products with ids after `after`, in the order of their ids; "" is before the first."""
        ...

    async def order(self, order_id: str) -> Order | None: ...

    async def refund(self, refund_id: str) -> Refund | None: ...

    async def backlog(self) -> Backlog: ...

    async def check_writable(self) -> None:
        """Returns when the database can be written to and has its lanes; raises EventStoreError."""
        ...

    async def forget_answers(self, keep_s: float, most: int = 1000) -> int:
        """Deletes at most `most` answers kept longer than `keep_s`; returns how many."""
        ...

    async def close(self) -> None: ...


encode = msgspec.json.Encoder().encode
