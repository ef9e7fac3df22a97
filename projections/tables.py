"""The base of all tables of the read model: every row belongs to a generation.

Text columns say `sa_type=Text`, because SQLite's STRICT tables know TEXT and not VARCHAR.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Index, MetaData
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class FigureRow(SQLModel):
    """A row of figures in one generation of them."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)

    generation: int = Field(primary_key=True)


STRICT: dict[str, Any] = {"sqlite_strict": True, "sqlite_with_rowid": False}


def by_bucket(table: str) -> tuple[Any, ...]:
    """Table arguments of figures keyed by bucket: a range of time is one stretch of the table, and a product's rows

    are found by an index of their own.
    """
    return (Index(f"ix_{table}_product", "generation", "product_id", "bucket"), STRICT)
