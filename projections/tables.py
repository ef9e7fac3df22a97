"""The base of all tables of the read model: every row belongs to a generation."""

from __future__ import annotations

from typing import ClassVar

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
