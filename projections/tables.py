"""The base of all tables of the read model: every row belongs to a generation.

Text columns say `sa_type=Text`, because SQLite's STRICT tables know TEXT and not VARCHAR.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import MetaData
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
"""Table arguments: rows lie in the order of their key, of which the bucket comes first in tables of figures, so a range

of time is one stretch. They have no other index: see figures_0005.
"""
