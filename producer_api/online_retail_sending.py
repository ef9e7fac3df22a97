"""Sending a shop's products and invoices through the commerce API: each once, however often it is tried.

Every call carries ids and an idempotency key derived from the invoice's number, so a call that is repeated, and a
whole file that is sent again, change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from event_store.events import Line

from .aiohttp_caller import Answer, Caller, segment
from .crew import Crew, Phase
from .online_retail import CURRENCY, Invoice, Product, RetailFile


class WrongAddress(Exception):
    """Something answers there, but it has no commerce API."""


@dataclass(slots=True)
class Delivery:
    """What became of the products and invoices of one file."""

    products: int = 0
    orders: int = 0
    """Orders and their payments that the API has taken, now or earlier."""
    refunds: int = 0
    replayed: int = 0
    """How many of these orders and refunds it had taken earlier."""
    failed: int = 0
    """Products and invoices that the API refused."""
    failures: dict[int, str] = field(default_factory=dict)
    """Row of the file -> what the API said."""


class ProductBody(Struct):
    """What PUT /v1/products/{product_id} takes."""

    name: str
    price_minor: int
    currency: str


class OrderBody(Struct, omit_defaults=True):
    order_id: str
    currency: str
    lines: tuple[Line, ...]
    buyer_id: str | None = None


class PaymentBody(Struct):
    payment_id: str
    outcome: str
    at: datetime


class RefundBody(Struct):
    refund_id: str
    currency: str
    lines: tuple[Line, ...]
    at: datetime


async def send(retail: RetailFile, crew: Crew) -> Delivery:
    """Products first, then invoices. Raises ApiSilent, WrongAddress."""
    sending = _Sending(crew.caller)
    await crew.each(Phase.PRODUCTS, retail.products, sending.product)
    await crew.each(Phase.INVOICES, retail.invoices, sending.invoice)
    return sending.delivery


async def list_products(products: Sequence[Product], crew: Crew) -> None:
    """Raises ApiSilent, WrongAddress."""
    await crew.each(Phase.PRODUCTS, products, _Sending(crew.caller).product)


@dataclass(slots=True)
class _Sending:
    caller: Caller
    delivery: Delivery = field(default_factory=Delivery)

    async def product(self, product: Product) -> bool:
        body = ProductBody(product.name, product.price_minor, CURRENCY)
        answer = await self.caller.call("PUT", f"/v1/products/{segment(product.product_id)}", body)
        if answer.status in {404, 405}:
            raise WrongAddress(f"no commerce API there: PUT /v1/products was answered {answer.problem()}")
        if not answer.is_success:
            return self._fail((product.row,), answer)
        self.delivery.products += 1
        return True

    async def invoice(self, invoice: Invoice) -> bool:
        answers = await (self._refund(invoice) if invoice.is_refund else self._order(invoice))
        if not answers[-1].is_success:
            return self._fail(invoice.rows, answers[-1])
        self.delivery.refunds += invoice.is_refund
        self.delivery.orders += not invoice.is_refund
        self.delivery.replayed += all(answer.replayed for answer in answers)
        return True

    async def _order(self, invoice: Invoice) -> list[Answer]:
        number = invoice.number
        order = OrderBody(number, CURRENCY, invoice.lines, invoice.buyer_id)
        ordered = await self.caller.call("POST", "/v1/orders", order, key=_key(number, "order"))
        if not ordered.is_success:
            return [ordered]
        payment = PaymentBody(number, "completed", invoice.at)
        path = f"/v1/orders/{segment(number)}/payments"
        return [ordered, await self.caller.call("POST", path, payment, key=_key(number, "payment"))]

    async def _refund(self, invoice: Invoice) -> list[Answer]:
        refund = RefundBody(invoice.number, CURRENCY, invoice.lines, invoice.at)
        return [await self.caller.call("POST", "/v1/refunds", refund, key=_key(invoice.number, "refund"))]

    def _fail(self, rows: Iterable[int], answer: Answer) -> bool:
        self.delivery.failed += 1
        self.delivery.failures.update(dict.fromkeys(rows, f"the API refused it: {answer.problem()}"))
        return False


def _key(number: str, step: str) -> str:
    return f"online-retail-{number}-{step}"
