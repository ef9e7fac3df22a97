"""Sending a shop's products and invoices through the commerce API: each once, however often it is tried.

Every call carries ids and an idempotency key derived from the invoice's number, so a call that is repeated, and a
whole file that is sent again, change nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from event_store.events import Line

from .aiohttp_caller import Answer, Caller, segment
from .online_retail import CURRENCY, Invoice, Product, RetailFile

PROGRESS_EVERY_S = 0.1

Item = TypeVar("Item")


class Phase(StrEnum):
    READING = "reading"
    PRODUCTS = "products"
    INVOICES = "invoices"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the sending is; `total` is 0 while the file is read."""

    phase: Phase
    done: int
    total: int
    failed: int = 0
    repeats: int = 0
    """Calls repeated because the API was away or busy."""


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


class _ProductBody(Struct):
    name: str
    price_minor: int
    currency: str


class _OrderBody(Struct, omit_defaults=True):
    order_id: str
    currency: str
    lines: tuple[Line, ...]
    buyer_id: str | None = None


class _PaymentBody(Struct):
    payment_id: str
    outcome: str
    at: datetime


class _RefundBody(Struct):
    refund_id: str
    currency: str
    lines: tuple[Line, ...]
    at: datetime


async def send(retail: RetailFile, caller: Caller, connections: int, progress: Callable[[Progress], None]) -> Delivery:
    """Products first, then invoices, `connections` at a time. Raises ApiSilent, WrongAddress."""
    sending = _Sending(caller, connections, progress)
    await sending.each(Phase.PRODUCTS, retail.products, sending.product)
    await sending.each(Phase.INVOICES, retail.invoices, sending.invoice)
    return sending.delivery


@dataclass(slots=True)
class _Sending:
    caller: Caller
    connections: int
    progress: Callable[[Progress], None]
    delivery: Delivery = field(default_factory=Delivery)
    _shown_at_s: float = 0.0

    async def each(self, phase: Phase, items: Iterable[Item], one: Callable[[Item], Awaitable[None]]) -> None:
        todo = list(items)
        queue = enumerate(todo, 1)

        async def worker() -> None:
            for number, item in queue:
                await one(item)
                self._show(phase, number, len(todo))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.connections):
                    group.create_task(worker())
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        self._show(phase, len(todo), len(todo), at_once=True)

    def _show(self, phase: Phase, done: int, total: int, *, at_once: bool = False) -> None:
        now_s = time.monotonic()
        if at_once or now_s - self._shown_at_s >= PROGRESS_EVERY_S:
            self._shown_at_s = now_s
            self.progress(Progress(phase, done, total, self.delivery.failed, self.caller.repeats))

    async def product(self, product: Product) -> None:
        body = _ProductBody(product.name, product.price_minor, CURRENCY)
        answer = await self.caller.call("PUT", f"/v1/products/{segment(product.product_id)}", body)
        if answer.status in {404, 405}:
            raise WrongAddress(f"no commerce API there: PUT /v1/products was answered {answer.problem()}")
        if answer.is_success:
            self.delivery.products += 1
        else:
            self._fail((product.row,), answer)

    async def invoice(self, invoice: Invoice) -> None:
        answers = await (self._refund(invoice) if invoice.is_refund else self._order(invoice))
        if not answers[-1].is_success:
            self._fail(invoice.rows, answers[-1])
            return
        self.delivery.refunds += invoice.is_refund
        self.delivery.orders += not invoice.is_refund
        self.delivery.replayed += all(answer.replayed for answer in answers)

    async def _order(self, invoice: Invoice) -> list[Answer]:
        number = invoice.number
        order = _OrderBody(number, CURRENCY, invoice.lines, invoice.buyer_id)
        ordered = await self.caller.call("POST", "/v1/orders", order, key=_key(number, "order"))
        if not ordered.is_success:
            return [ordered]
        payment = _PaymentBody(number, "completed", invoice.at)
        path = f"/v1/orders/{segment(number)}/payments"
        return [ordered, await self.caller.call("POST", path, payment, key=_key(number, "payment"))]

    async def _refund(self, invoice: Invoice) -> list[Answer]:
        refund = _RefundBody(invoice.number, CURRENCY, invoice.lines, invoice.at)
        return [await self.caller.call("POST", "/v1/refunds", refund, key=_key(invoice.number, "refund"))]

    def _fail(self, rows: Iterable[int], answer: Answer) -> None:
        self.delivery.failed += 1
        self.delivery.failures.update(dict.fromkeys(rows, f"the API refused it: {answer.problem()}"))


def _key(number: str, step: str) -> str:
    return f"online-retail-{number}-{step}"
