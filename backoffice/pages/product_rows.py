"""The products of a range with their figures, each beside the same of another range: as columns, since there may be
many thousand, of which a page shows fifty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from projections.figures import RATIOS, Question, figures
from projections.listings import LISTINGS
from projections.periods import Range
from projections.read_model import FiguresReader

from .course import NOTHING
from .selection import Selection
from .shown import Row, totals_of

KEY = ("product_id", "currency")
_BEFORE = "before "
"""The columns of what is compared begin with it."""
_COUNTED = [name for name in NOTHING if name not in {ratio.name for ratio in RATIOS}]


@dataclass(frozen=True, slots=True)
class Item:
    """One product in one currency; `before` is None where nothing is compared."""

    product_id: str
    name: str
    currency: str
    row: Row
    before: Row | None


@dataclass(frozen=True, slots=True)
class ProductRows:
    """A row for each product and currency; what was sold only in the compared range stands there with nothing."""

    frame: pl.DataFrame
    is_compared: bool

    def __len__(self) -> int:
        return self.frame.height

    def found(self, text: str) -> ProductRows:
        """Those with the text in their id or name, in letters of either case."""
        wanted = text.strip().casefold()
        if not wanted:
            return self
        names = self.frame.select("product_id", "name").iter_rows()
        are_wanted = [any(wanted in name.casefold() for name in both) for both in names]
        return replace(self, frame=self.frame.filter(pl.Series(are_wanted, dtype=pl.Boolean)))

    def ordered(self, by: str, *, down: bool) -> ProductRows:
        """Rows of one value stay in the order of their keys; what has no value comes last either way."""
        return replace(self, frame=self.frame.sort(by, descending=down, nulls_last=True, maintain_order=True))

    def items(self, numbers: Sequence[int] | None = None) -> list[Item]:
        """Those of these numbers; all of them without."""
        frame = self.frame if numbers is None else self.frame[list(numbers)]
        return [self._item(row) for row in frame.iter_rows(named=True)]

    def moved(self, metric: str, most: int) -> tuple[Sequence[Item], Sequence[Item]]:
        """What rose and what fell most against the compared range; what has no value on either side has not moved."""
        # Between two figures of 64 bits there may be more than 64 bits.
        wide = pl.Float64 if self.frame.schema[metric] == pl.Float64 else pl.Int128
        difference = pl.col(metric).cast(wide) - pl.col(_BEFORE + metric).cast(wide)
        rose = self.frame.filter(difference > 0).sort(difference, descending=True, maintain_order=True)
        fell = self.frame.filter(difference < 0).sort(difference, maintain_order=True)
        return replace(self, frame=rose.head(most)).items(), replace(self, frame=fell.head(most)).items()

    def totals(self) -> list[tuple[Row, Row | None]]:
        """By currency, what all of them add up to, and what all of the compared range do."""
        now = totals_of(self.frame)
        if not self.is_compared:
            return [(row, None) for row in now]
        before = totals_of(self.frame.select("currency", pl.col([_BEFORE + name for name in _COUNTED]).name.map(_bare)))
        return list(zip(now, before, strict=True))

    def _item(self, row: Mapping[str, object]) -> Item:
        (product_id, currency) = (str(row[name]) for name in KEY)
        now = {"currency": currency, **{name: row[name] for name in NOTHING}}
        before = {"currency": currency, **{name: row[_BEFORE + name] for name in NOTHING}} if self.is_compared else None
        return Item(product_id, str(row["name"]), currency, now, before)


async def product_rows(reader: FiguresReader, selection: Selection) -> ProductRows:
    earlier = selection.compared
    rows = await _of(reader, selection, selection.asked)
    if earlier is not None:
        before = await _of(reader, selection, earlier)
        rows = rows.join(before.rename(_compared), on=list(KEY), how="full", coalesce=True)
    counted = [*_COUNTED, *((_BEFORE + name for name in _COUNTED) if earlier is not None else ())]
    listed = await reader.rows(await reader.serving(), LISTINGS.name)
    named = rows.join(listed.select("product_id", "name"), on="product_id", how="left")
    filled = named.with_columns(pl.col(counted).fill_null(0), pl.col("name").fill_null(""))
    return ProductRows(filled.sort(KEY), earlier is not None)


async def _of(reader: FiguresReader, selection: Selection, asked: Range) -> pl.DataFrame:
    return await figures(reader, Question(("product",), selection.tz, asked, ratios=True))


def _compared(name: str) -> str:
    return name if name in KEY else _BEFORE + name


def _bare(name: str) -> str:
    return name.removeprefix(_BEFORE)
