"""The shop's books: what one transaction sees of the shop's state, and enters in it.

`bookkeeping` performs every command on them, whatever database they lie in. They show the state as this transaction
has it, what was entered before in the same one included. Back ends: `sqlite_books` and `postgres_books`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .commerce import BasketLine, Once, Product
from .decisions import KnownOrder, KnownPayment, KnownRefund, Share
from .recording import Recording


class KeptAnswer(NamedTuple):
    """An answer as it is kept under its idempotency key; `body` of a refusal is a `Refusal`."""

    fingerprint: bytes
    status: int
    body: bytes
    location: str | None


class Products(Protocol):
    def find(self, product_id: str) -> Product | None: ...

    def currencies(self, product_ids: Iterable[str]) -> Mapping[str, str]:
        """The currency of each of the products that is listed."""
        ...

    def put(self, product: Product) -> None:
        """Enters a new product, or how a known one stands now; its likes are left as they are."""
        ...

    def set_like(self, product_id: str, user_id: str, *, liked: bool) -> bool:
        """Whether that changed anything; if so, it is counted with the product, which is a known one."""
        ...


class Orders(Protocol):
    def find(self, order_id: str) -> KnownOrder | None: ...

    def lines(self, order_id: str) -> list[BasketLine]: ...

    def add(self, order_id: str, order: KnownOrder, placed_at_us: int, lines: Sequence[BasketLine]) -> None: ...

    def payment(self, payment_id: str) -> KnownPayment | None: ...

    def settled_at_us(self, order_id: str) -> int:
        """When the payment was that settled the order, which is no longer pending."""
        ...

    def settle(self, payment_id: str, payment: KnownPayment, status: str) -> None:
        """Enters the payment, and what it makes of its order."""
        ...


class Refunds(Protocol):
    def find(self, refund_id: str) -> KnownRefund | None: ...

    def lines(self, refund_id: str) -> list[BasketLine]: ...

    def refunded(self, order_id: str) -> Mapping[str, Share]:
        """Product → what went back of the order, over all its refunds."""
        ...

    def add(self, refund_id: str, refund: KnownRefund, lines: Sequence[BasketLine]) -> None: ...


class TakenIn(Protocol):
    """The events that other services handed in."""

    def add(self, source: str, id_: str, event_id: str) -> bool:
        """False where an event of this source and id was taken in before."""
        ...


class Answers(Protocol):
    """The answers kept under idempotency keys."""

    def find(self, once: Once) -> KeptAnswer | None: ...

    def keep(self, once: Once, answer: KeptAnswer, kept_at_us: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Books:
    """The books of one transaction, and the events it is going to tell."""

    products: Products
    orders: Orders
    refunds: Refunds
    taken_in: TakenIn
    answers: Answers
    recording: Recording
