"""What the shop shows of its own state: products and orders, read by sqlmodel over any database SQLAlchemy opens.

Reading only. Each page is one transaction, so an order and its payment are of one moment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, event, func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from event_store.errors import StorageUnavailable

from .commerce import BasketLine, Order, OrderPayment, Product
from .recording import instant_of
from .tables import OrderLineRow, OrderRow, PaymentRow, ProductRow, RefundLineRow, RefundRow


class ShopPages:
    """Opens nothing before the first page."""

    def __init__(self, url: URL) -> None:
        self._engine = create_async_engine(url)
        if self._engine.dialect.name == "sqlite":
            _begin_explicitly(self._engine)

    async def product(self, product_id: str) -> Product | None:
        async with self._session() as session:
            row = await session.get(ProductRow, product_id)
        return None if row is None else _product(row)

    async def products(self, after: str, most: int) -> Sequence[Product]:
        page = select(ProductRow).where(col(ProductRow.product_id) > after).order_by(col(ProductRow.product_id))
        async with self._session() as session:
            return [_product(row) for row in await session.exec(page.limit(most))]

    async def order(self, order_id: str) -> Order | None:
        """The whole order, its payment and what was refunded of it."""
        async with self._session() as session:
            row = await session.get(OrderRow, order_id)
            if row is None:
                return None
            lines = list(await session.exec(_lines_of(order_id)))
            payment = (await session.exec(select(PaymentRow).where(PaymentRow.order_id == order_id))).first()
            refunded_minor = (await session.exec(_refunded_of(order_id))).one()
        return Order(
            order_id=row.order_id,
            status=row.status,  # type: ignore[arg-type]
            currency=row.currency,
            amount_minor=sum(line.amount_minor for line in lines),
            refunded_minor=refunded_minor,
            buyer_id=row.buyer_id,
            placed_at=instant_of(row.placed_at_us),
            payment=None if payment is None else _payment(payment),
            lines=[BasketLine(line.product_id, line.quantity, line.amount_minor) for line in lines],
        )

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncSession]:
        try:
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                yield session
        except SQLAlchemyError as error:
            raise StorageUnavailable(f"the shop can't be read: {error.__class__.__name__}: {error}") from error


def _begin_explicitly(engine: AsyncEngine) -> None:
    """Python's sqlite3 begins transactions only before writes; a page of several SELECTs needs one from its first."""

    @event.listens_for(engine.sync_engine, "connect")
    def no_implicit_begin(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")


def _product(row: ProductRow) -> Product:
    return Product(row.product_id, row.name, row.price_minor, row.currency, row.version, row.likes)


def _payment(row: PaymentRow) -> OrderPayment:
    return OrderPayment(row.payment_id, row.outcome, instant_of(row.paid_at_us))  # type: ignore[arg-type]


def _lines_of(order_id: str) -> Any:
    return select(OrderLineRow).where(OrderLineRow.order_id == order_id).order_by(col(OrderLineRow.line_number))


def _refunded_of(order_id: str) -> Any:
    amount = func.coalesce(func.sum(col(RefundLineRow.amount_minor)), 0)
    of_order = col(RefundLineRow.refund_id) == col(RefundRow.refund_id)
    return select(amount).select_from(RefundLineRow).join(RefundRow, of_order).where(RefundRow.order_id == order_id)
