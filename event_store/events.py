"""The event types: what happened, in the past tense, with bounds on every field.

A new type is one class here, one line in `EVENT_TYPES` and one sample in tests/samples.py. Inside a version a
type changes only by adding optional fields; a breaking change is a new class with the next version, and an
upcaster from the old one in codec.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct

from .topics import CATALOG_EVENTS, ORDER_EVENTS, Topic

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217 code")]
AmountMinor = Annotated[int, Meta(ge=0, le=10**15, description="money in minor units of its currency")]
Quantity = Annotated[int, Meta(ge=1, le=10**6)]
Version = Annotated[int, Meta(ge=1, le=2**53)]
SoldAt = Annotated[
    str, Meta(min_length=27, max_length=27, description="when the sale was paid, as 2011-03-04T12:30:00.000000Z")
]


class Payload(Struct, frozen=True, gc=False, forbid_unknown_fields=False):
    """The `data` of an event. Unknown fields are read over: they are additions of a newer writer."""


class ProductListed(Payload, frozen=True, gc=False):
    """A product was listed or changed. The highest version of a product is how it stands."""

    product_id: Id
    version: Version
    name: Name
    price_minor: AmountMinor
    currency: Currency


class ProductView(Payload, frozen=True, gc=False):
    """A visitor looked at a product. `currency` is the one it was offered in, so that views stand beside sales."""

    product_id: Id
    visitor_id: Id
    currency: Currency


class LikeChanged(Payload, frozen=True, gc=False):
    """A user's like of a product appeared (+1) or went away (-1)."""

    product_id: Id
    user_id: Id
    currency: Currency
    delta: Literal[1, -1]


class Line(Struct, frozen=True, gc=False):
    """One line of an order or a refund; `amount_minor` is for the whole line, not for one unit."""

    product_id: Id
    quantity: Quantity
    amount_minor: AmountMinor


Lines = Annotated[list[Line], Meta(min_length=1, max_length=2000)]


class PaymentCompleted(Payload, frozen=True, gc=False):
    """An order was paid, with everything that was bought."""

    order_id: Id
    payment_id: Id
    currency: Currency
    lines: Lines
    buyer_id: Id | None = None


class PaymentFailed(Payload, frozen=True, gc=False):
    """A payment was declined and its order cancelled."""

    order_id: Id
    payment_id: Id
    buyer_id: Id | None = None


class PaymentRefunded(Payload, frozen=True, gc=False):
    """Money went back for some lines; order and sale are unknown where the shop no longer knows them."""

    refund_id: Id
    currency: Currency
    lines: Lines
    order_id: Id | None = None
    sold_at: SoldAt | None = None


class RecordWithheld(Payload, frozen=True, gc=False):
    """Stands in a lane for an event that the log will never take, so that the lane has no hole."""

    event_id: Id
    event_type: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class EventType:
    """How one payload class is named, versioned and routed. There is one object of each."""

    payload: type[Payload]
    context: str
    version: int
    topic: Topic | None
    """None: it travels in the topic of the event it stands for."""
    key: tuple[str, ...]
    """The payload's fields that may be the partition key: the first that is set is it."""
    named: str | None = None
    """The type's name where its class can't bear it: an old version that stands beside the newer one."""

    def key_of(self, payload: Payload) -> str:
        for field in self.key:
            value = getattr(payload, field)
            if value is not None:
                return str(value)
        raise ValueError(f"a {self.name} has none of {', '.join(self.key)}")

    @property
    def name(self) -> str:
        return self.named or self.payload.__name__

    @property
    def subject_kind(self) -> str:
        """What its `subject` begins with: the noun of its key."""
        return self.key[0].removesuffix("_id")

    @property
    def type(self) -> str:
        """The CloudEvents `type`."""
        return f"com.countinghouse.{self.context}.{self.name}.v{self.version}"

    @property
    def dataschema(self) -> str:
        return f"urn:countinghouse:event:{self.name}:{self.version}"


EVENT_TYPES: tuple[EventType, ...] = (
    EventType(ProductListed, "catalog", 1, CATALOG_EVENTS, key=("product_id",)),
    EventType(ProductView, "catalog", 1, CATALOG_EVENTS, key=("product_id",)),
    EventType(LikeChanged, "catalog", 1, CATALOG_EVENTS, key=("product_id",)),
    EventType(PaymentCompleted, "orders", 1, ORDER_EVENTS, key=("order_id",)),
    EventType(PaymentFailed, "orders", 1, ORDER_EVENTS, key=("order_id",)),
    EventType(PaymentRefunded, "orders", 1, ORDER_EVENTS, key=("order_id", "refund_id")),
    EventType(RecordWithheld, "lane", 1, None, key=("event_id",)),
)
