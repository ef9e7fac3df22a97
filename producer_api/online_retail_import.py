"""Importing an Online Retail file into a running shop, with an account of every row."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .aiohttp_caller import Caller
from .crew import Crew, Phase, Progress, unwatched
from .online_retail import RetailFile, numbered_rows, read_online_retail
from .online_retail_row import COLUMNS
from .online_retail_sending import Delivery, send

PATIENCE_S = 60.0
"""An API that is restarted answers sooner; one that is silent for longer needs its operator."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a file. Every row read was accepted as a line or refused: building it checks that."""

    rows_read: int
    lines_accepted: int
    refused: Mapping[str, int]
    """Reason -> rows, the most frequent first."""
    delivery: Delivery = field(default_factory=Delivery)

    def __post_init__(self) -> None:
        if self.rows_read != self.lines_accepted + self.rows_refused:
            raise ValueError(f"{self.rows_read} rows read, but {self.lines_accepted} + {self.rows_refused} judged")

    @property
    def rows_refused(self) -> int:
        return sum(self.refused.values())

    def table(self) -> list[tuple[str, int]]:
        """Every figure with its words, in the order to show them."""
        sent = self.delivery
        return [
            ("rows read", self.rows_read),
            ("lines accepted", self.lines_accepted),
            ("rows refused", self.rows_refused),
            *((f"  {reason}", rows) for reason, rows in self.refused.items()),
            ("products listed", sent.products),
            ("orders paid", sent.orders),
            ("refunds made", sent.refunds),
            ("  of these taken by an earlier import", sent.replayed),
            ("products and invoices the API refused", sent.failed),
        ]

    def describe(self) -> str:
        """The table as plain text."""
        return "\n".join(f"{figure:>10,}  {words}" for words, figure in self.table())


async def import_online_retail(
    file: Path,
    api_url: str,
    rejects: Path | None,
    *,
    connections: int = 16,
    progress: Callable[[Progress], None] = unwatched,
    patience_s: float = PATIENCE_S,
    token: str = "",
) -> Account:
    """Sends `file` to the API and returns when it has taken or refused everything.

    `rejects` gets every refused row with its number and reason before anything is sent, and again at the end where
    the API refused some too. `progress` is called in the event loop, at most ten times a second.

    Raises UnreadableRetailFile, ValueError and OSError before anything is sent; then WrongAddress, or ApiSilent when
    the API was away for `patience_s`. Whatever was sent by then is kept: the same import run again goes on from there.
    """
    progress(Progress(Phase.READING, 0, 0))
    retail = await asyncio.to_thread(read_online_retail, file)
    await _write_rejects(file, retail.refused, rejects)
    async with Caller(api_url, connections=connections, patience_s=patience_s, token=token) as caller:
        delivery = await send(retail, Crew(caller, connections, progress))
    if delivery.failures:
        await _write_rejects(file, {**retail.refused, **delivery.failures}, rejects)
    return _account(retail, delivery)


def _account(retail: RetailFile, delivery: Delivery) -> Account:
    refused = Counter(reason.value for reason in retail.refused.values())
    return Account(retail.rows_read, retail.lines_accepted, dict(refused.most_common()), delivery)


async def _write_rejects(file: Path, reasons: Mapping[int, str], rejects: Path | None) -> None:
    if rejects is not None:
        await asyncio.to_thread(write_rejects, file, reasons, rejects)


def write_rejects(file: Path, reasons: Mapping[int, str], rejects: Path) -> None:
    """Writes the rows of `file` that have a reason, in file order: row number, reason, the columns as they were.

    The columns are read from `file` a second time, so that they need not all be kept in memory. The finished file
    takes its name at the end: half of one is never seen. Raises ValueError where `rejects` is `file` itself.
    """
    if rejects.exists() and rejects.samefile(file):
        raise ValueError(f"{rejects} is the invoice file itself: choose another file for the rejects")
    unfinished = rejects.with_name(f"{rejects.name}.unfinished")
    with unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("row", "reason", *COLUMNS))
        if reasons:
            writer.writerows((row, reasons[row], *columns) for row, columns in numbered_rows(file) if row in reasons)
    unfinished.replace(rejects)
