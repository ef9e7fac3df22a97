"""What the figures must be, computed the plain way: json.loads and dictionaries, one event after the other.

It shares nothing with the projections, knows an event by its id alone, and nothing of sequences.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Key = tuple[Any, ...]

FIGURES = {
    "sales": ("orders", "units_sold", "gross_minor", "refunds", "units_refunded", "refunded_minor"),
    "returns": ("sale_refunds", "sale_refunded_minor", "traced_refunds", "traced_refunded_minor"),
    "interest": ("views", "likes"),
}
SILENT = ("PaymentFailed", "RecordWithheld")
"""Events that change no figure."""


def bucket(time: str) -> int:
    """Start of the 15 minutes, in seconds since 1970."""
    return int(datetime.fromisoformat(time.upper()).timestamp()) // 900 * 900


@dataclass(slots=True)
class Oracle:
    """The figures of the records shown to it."""

    sales: dict[Key, dict[str, int]] = field(default_factory=dict)
    returns: dict[Key, dict[str, int]] = field(default_factory=dict)
    interest: dict[Key, dict[str, int]] = field(default_factory=dict)
    listing: dict[Key, tuple[Any, ...]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    duplicates: int = 0
    unreadable: int = 0

    def show(self, value: bytes | None) -> bool:
        """Counts a record of the log, once by its event's id; False where it is no event."""
        try:
            event = json.loads(value or b"")
            (name, version) = event["type"].split(".")[-2:]
            count = getattr(self, f"_{name}", None)
            if version != "v1" or event["id"] is None or (count is None and name not in SILENT):
                raise KeyError(name)
        except (ValueError, KeyError, TypeError):
            self.unreadable += 1
            return False
        if event["id"] in self.seen:
            self.duplicates += 1
        else:
            self.seen.add(event["id"])
            if count is not None:
                count(event["data"], bucket(event["time"]))
        return True

    def rows(self, name: str) -> dict[Key, tuple[Any, ...]]:
        """Key → figures of one projection, both in the order of its columns."""
        if name == "listing":
            return dict(self.listing)
        cells: dict[Key, dict[str, int]] = getattr(self, name)
        return {key: tuple(cell[metric] for metric in FIGURES[name]) for key, cell in cells.items()}

    def _add(self, name: str, key: Key, **amounts: int) -> None:
        cells: dict[Key, dict[str, int]] = getattr(self, name)
        cell = cells.setdefault(key, dict.fromkeys(FIGURES[name], 0))
        for metric, amount in amounts.items():
            cell[metric] += amount

    def _ProductView(self, data: Any, start: int) -> None:  # noqa: N802
        self._add("interest", (start, data["product_id"], data["currency"]), views=1)

    def _LikeChanged(self, data: Any, start: int) -> None:  # noqa: N802
        self._add("interest", (start, data["product_id"], data["currency"]), likes=data["delta"])

    def _PaymentCompleted(self, data: Any, start: int) -> None:  # noqa: N802
        for product, (quantity, amount) in _lines(data).items():
            key = (start, product, data["currency"])
            self._add("sales", key, orders=1, units_sold=quantity, gross_minor=amount)

    def _PaymentRefunded(self, data: Any, start: int) -> None:  # noqa: N802
        for product, (quantity, amount) in _lines(data).items():
            key = (start, product, data["currency"])
            self._add("sales", key, refunds=1, units_refunded=quantity, refunded_minor=amount)
            if data.get("sold_at") is not None:
                of_sale = (bucket(data["sold_at"]), product, data["currency"])
                self._add("returns", of_sale, sale_refunds=1, sale_refunded_minor=amount)
                self._add("returns", key, traced_refunds=1, traced_refunded_minor=amount)

    def _ProductListed(self, data: Any, start: int) -> None:  # noqa: N802
        new = (data["version"], data["name"], data["price_minor"], data["currency"])
        self.listing[(data["product_id"],)] = max(new, self.listing.get((data["product_id"],), (0,)))


def _lines(data: Any) -> dict[str, tuple[int, int]]:
    """Product → (quantity, amount) over all its lines."""
    sums: dict[str, tuple[int, int]] = {}
    for line in data["lines"]:
        (quantity, amount) = sums.get(line["product_id"], (0, 0))
        sums[line["product_id"]] = (quantity + line["quantity"], amount + line["amount_minor"])
    return sums


def oracle_of(values: list[bytes | None]) -> Oracle:
    oracle = Oracle()
    for value in values:
        oracle.show(value)
    return oracle
