"""The commerce tables: the state of the shop, beside the outbox that tells of its changes.

Instants are microseconds since 1970 UTC; money is in minor units of the row's currency.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Dialect, Integer, LargeBinary, MetaData, Text
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

NUMBER: Any = BigInteger().with_variant(Integer, "sqlite")
TEXT: Any = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared and ordered by its bytes, in every database alike."""
BYTES: Any = LargeBinary()

STRICT = {"sqlite_strict": True, "sqlite_with_rowid": False}
"""Every table has a key of its own, and refuses what is of another type than its column."""


class CommerceRow(SQLModel):
    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


class ProductRow(CommerceRow, table=True):
    __tablename__ = "products"
    __table_args__ = (
        CheckConstraint("price_minor >= 0", "price"),
        CheckConstraint("version >= 1", "version"),
        CheckConstraint("likes >= 0", "likes"),
        STRICT,
    )

    product_id: str = Field(primary_key=True, sa_type=TEXT)
    name: str = Field(sa_type=TEXT)
    price_minor: int = Field(sa_type=NUMBER)
    currency: str = Field(sa_type=TEXT)
    version: int = Field(sa_type=NUMBER)
    likes: int = Field(sa_type=NUMBER)


class LikeRow(CommerceRow, table=True):
    """A user likes a product for as long as the row stands."""

    __tablename__ = "likes"
    __table_args__ = (STRICT,)

    product_id: str = Field(primary_key=True, foreign_key="products.product_id", sa_type=TEXT)
    user_id: str = Field(primary_key=True, sa_type=TEXT)


class OrderRow(CommerceRow, table=True):
    __tablename__ = "orders"
    __table_args__ = (CheckConstraint("status IN ('pending', 'paid', 'cancelled')", "status"), STRICT)

    order_id: str = Field(primary_key=True, sa_type=TEXT)
    status: str = Field(sa_type=TEXT)
    currency: str = Field(sa_type=TEXT)
    buyer_id: str | None = Field(default=None, sa_type=TEXT)
    placed_at_us: int = Field(sa_type=NUMBER)


class OrderLineRow(CommerceRow, table=True):
    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("quantity >= 1", "quantity"),
        CheckConstraint("amount_minor >= 0", "amount"),
        STRICT,
    )

    order_id: str = Field(primary_key=True, foreign_key="orders.order_id", sa_type=TEXT)
    line_number: int = Field(primary_key=True, sa_type=NUMBER)
    product_id: str = Field(foreign_key="products.product_id", sa_type=TEXT)
    quantity: int = Field(sa_type=NUMBER)
    amount_minor: int = Field(sa_type=NUMBER)


class PaymentRow(CommerceRow, table=True):
    """The one payment that settled its order."""

    __tablename__ = "payments"
    __table_args__ = (CheckConstraint("outcome IN ('completed', 'failed')", "outcome"), STRICT)

    payment_id: str = Field(primary_key=True, sa_type=TEXT)
    order_id: str = Field(foreign_key="orders.order_id", unique=True, sa_type=TEXT)
    outcome: str = Field(sa_type=TEXT)
    paid_at_us: int = Field(sa_type=NUMBER)
    event_id: str = Field(sa_type=TEXT)


class RefundRow(CommerceRow, table=True):
    __tablename__ = "refunds"
    __table_args__ = (STRICT,)

    refund_id: str = Field(primary_key=True, sa_type=TEXT)
    order_id: str | None = Field(default=None, foreign_key="orders.order_id", index=True, sa_type=TEXT)
    currency: str = Field(sa_type=TEXT)
    refunded_at_us: int = Field(sa_type=NUMBER)
    event_id: str = Field(sa_type=TEXT)


class RefundLineRow(CommerceRow, table=True):
    """The product need not be listed: a shop may refund what it no longer sells."""

    __tablename__ = "refund_lines"
    __table_args__ = (
        CheckConstraint("quantity >= 1", "quantity"),
        CheckConstraint("amount_minor >= 0", "amount"),
        STRICT,
    )

    refund_id: str = Field(primary_key=True, foreign_key="refunds.refund_id", sa_type=TEXT)
    line_number: int = Field(primary_key=True, sa_type=NUMBER)
    product_id: str = Field(sa_type=TEXT)
    quantity: int = Field(sa_type=NUMBER)
    amount_minor: int = Field(sa_type=NUMBER)


class AcceptedEventRow(CommerceRow, table=True):
    """An event that another service handed in, kept for ever: its source and id are never accepted again."""

    __tablename__ = "accepted_events"
    __table_args__ = (STRICT,)

    source: str = Field(primary_key=True, sa_type=TEXT)
    id: str = Field(primary_key=True, sa_type=TEXT)
    event_id: str = Field(sa_type=TEXT)


class KeptAnswerRow(CommerceRow, table=True):
    """The answer to a call with an idempotency key."""

    __tablename__ = "kept_answers"
    __table_args__ = (STRICT,)

    endpoint: str = Field(primary_key=True, sa_type=TEXT)
    key: str = Field(primary_key=True, sa_type=TEXT)
    fingerprint: bytes = Field(sa_type=BYTES)
    status: int = Field(sa_type=NUMBER)
    body: bytes = Field(sa_type=BYTES)
    location: str | None = Field(default=None, sa_type=TEXT)
    kept_at_us: int = Field(index=True, sa_type=NUMBER)


def ddl(dialect: Dialect) -> str:
    """The statements that make the tables where they are missing."""
    statements = []
    for table in CommerceRow.metadata.sorted_tables:
        statements.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        statements += [str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)) for index in table.indexes]
    return "".join(f"{statement.strip()};\n" for statement in statements)
