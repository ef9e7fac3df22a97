"""A shop's half year, imported into real processes that are killed all the while."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from tests import retail_oracle
from tests.faults.shop import Database, Running, Shop, until
from tests.retail_oracle import LONDON, Figures, Judged

SEED = 20110327
KILLS = {"api": 14, "relay": 16, "consumer": 16}
LONDON_DAYS = ("--tz", "Europe/London")
COPIES = 100
"""How often the excerpt stands for the half year where the half year isn't there."""

WORK_DONE: Mapping[str, tuple[Database, str]] = {
    "api": ("commerce", "SELECT coalesce(max(id), 0) FROM outbox"),
    "relay": ("commerce", "SELECT coalesce(sum(acknowledged), 0) FROM outbox_lane"),
    "consumer": ("backoffice", "SELECT coalesce(sum(next_offset), 0) FROM inbox_position"),
}
"""Role → its database, and a number there that grows with every bit of work such a process has finished for good."""

Start = Callable[[], Running]


@dataclass
class Kill:
    role: str
    pid: int
    done: int
    """How much work the process had finished in its short life."""
    events: int
    """How many events the import had brought so far."""


A_LITTLE = 0.5
"""So many events more an import may be far ahead at each look at a process that has finished nothing yet."""


@dataclass
class HalfYear:
    shop: Shop
    file: Path
    judged: Judged
    kills_of: Mapping[str, int] = field(default_factory=lambda: KILLS)
    """Process → how often it is killed. Its role is its name, up to the first dash."""
    start_of: Mapping[str, Start] = field(default_factory=dict)
    """How a process is started that isn't started by the name of its role."""
    kills: list[Kill] = field(default_factory=list)

    @property
    def events(self) -> int:
        """What the import will have brought: each product once, each invoice once."""
        products = {row.product_id for row in self.judged.accepted}
        return len(products) + len({row.invoice for row in self.judged.accepted})

    async def import_under_kills(self, meanwhile: Mapping[int, Callable[[], None]] | None = None) -> None:
        """Imports the file while processes die, all along the import, each in the middle of its work.

        `meanwhile` is what happens beside a kill: its number, from 1 → what.
        """
        line = {name: self._started(name) for name in self.kills_of}
        importer = self.shop.start("import", "online-retail", str(self.file))
        chance = random.Random(SEED)
        names = [name for name, number in self.kills_of.items() for _ in range(number)]
        chance.shuffle(names)
        begun = dict.fromkeys(line, 0)
        for number, name in enumerate(names, 1):
            turn = self.events * number // (len(names) + 8)
            done = await self._works(line, name, begun[name], turn, importer)
            await asyncio.sleep(chance.uniform(0.0, 0.15))
            assert importer.is_alive, f"the import ended before kill {number}: {importer.last_words}"
            self.kills.append(Kill(name, line[name].process.pid, done, await self.work_of("api")))
            line[name].kill()
            if meanwhile and number in meanwhile:
                importer.pause()  # A server takes seconds to start, in which an import gets far ahead of its kills.
                meanwhile[number]()  # In this thread: servers end with the thread that starts them.
            begun[name] = await self.work_of(line[name].role)
            line[name] = self._started(name)
        importer.wake()
        await until(lambda: not importer.is_alive, importer, timeout_s=300)
        assert importer.process.returncode == 0, importer.last_words

    def _revive(self, line: dict[str, Running]) -> None:
        """What a container's restart policy does: a process that found no broker at its start ends with code 2."""
        for name, one in line.items():
            if one.process.poll() == 2:
                line[name] = self._started(name)

    def _started(self, name: str) -> Running:
        start = self.start_of.get(name)
        return start() if start else self.shop.start(name)

    async def _works(self, line: dict[str, Running], name: str, begun: int, turn: int, importer: Running) -> int:
        """Returns once it is the kill's turn and the process has finished something since it was started.

        An import that is ahead of its kills waits for processes that are still starting, and one that is far ahead for
        those that are slow, too, so that it doesn't end before them.
        """
        ahead = turn + self.events / 40
        far_ahead = turn + self.events / 10
        while True:
            if self.start_of:
                self._revive(line)
            process = line[name]
            events = await self.work_of("api")
            done = await self.work_of(process.role) - begun
            if events >= turn and done > 0:
                importer.wake()
                return done
            if events > far_ahead or (events > ahead and not await process.answers()):
                importer.pause()
                far_ahead += A_LITTLE  # What the process is to do may have been done by its neighbour.
            else:
                importer.wake()
            assert process.is_alive or self.start_of, process.last_words
            await asyncio.sleep(0.02)

    async def work_of(self, role: str) -> int:
        return await self.shop.number(*WORK_DONE[role])

    @cached_property
    def cells(self) -> dict[tuple[str, str, str], Figures]:
        """(product, day, currency) -> figures: the oracle."""
        return retail_oracle.figures(self.judged)

    def hours(self) -> dict[tuple[str, str, str], Figures]:
        """(product, hour, currency) -> figures; the hour as `2011-03-27T14:00+01:00`."""
        per_hour = Judged(0, self.judged.accepted, [], self.judged.earliest)
        hour_of = {invoice: _hour(at) for invoice, at in self.judged.earliest.items()}
        return _regrouped(per_hour, hour_of)


def shared_file_or_copies(folder: Path) -> Path:
    """The half year, or, without it, the excerpt so often that it is as long."""
    return retail_oracle.whole_file() or copies_of_the_excerpt(folder / "copies.csv", COPIES)


def copies_of_the_excerpt(file: Path, copies: int) -> Path:
    with retail_oracle.open_text(retail_oracle.EXCERPT) as text:
        (header, *rows) = csv.reader(text)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for copy in range(copies):
            writer.writerows([_renumbered(row[0], copy), *row[1:]] for row in rows)
    return file


def _renumbered(invoice: str, copy: int) -> str:
    letters = invoice.rstrip("0123456789")
    return f"{letters}{copy:03}{invoice[len(letters) :]}"


NOTHING = ("views", "likes", "sale_refunds", "sale_refunded_minor", "traced_refunds", "traced_refunded_minor")
"""A file of invoices says nothing of views and likes, and of no refund when its sale was."""
UNTRACED = {"untraced_refunds": "refunds", "untraced_refunded_minor": "refunded_minor"}
"""So these are the same as those."""


def columns(text: str) -> list[list[str]]:
    """A CSV answer less the columns that the oracle doesn't have, which hold what they must."""
    (header, *rows) = csv.reader(io.StringIO(text))
    empty = {header.index(name) for name in NOTHING}
    same = {header.index(name): header.index(other) for name, other in UNTRACED.items()}
    assert all(row[number] == "0" for row in rows for number in empty)
    assert all(row[number] == row[other] for row in rows for number, other in same.items())
    gone = empty | same.keys()
    return [[cell for number, cell in enumerate(row) if number not in gone] for row in (header, *rows)]


def oracle_text(cells: dict[tuple[str, str, str], Figures]) -> str:
    """As tests/retail_oracle.py prints its table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(retail_oracle.HEADER.split(","))
    writer.writerows(retail_oracle.table(cells))
    return out.getvalue()


def summed(cells: dict[tuple[str, str, str], Figures], keys: Sequence[int]) -> list[list[str]]:
    """The cells added up over some of their keys, as rows of text, sorted."""
    sums: dict[tuple[str, ...], Counter[str]] = {}
    for cell, figures in cells.items():
        total = sums.setdefault(tuple(cell[key] for key in keys), Counter())
        total.update({**vars(figures), "net_minor": figures.net_minor})
    names = retail_oracle.HEADER.split(",")[3:]
    return [[*cell, *(str(sums[cell][name]) for name in names)] for cell in sorted(sums)]


def best(cells: dict[tuple[str, str, str], Figures], of: Callable[[Figures], int]) -> tuple[str, str, str]:
    return max(cells, key=lambda cell: (of(cells[cell]), cell))


def _hour(local_time: datetime) -> str:
    instant = local_time.replace(tzinfo=LONDON, fold=0).astimezone(timezone.utc).astimezone(LONDON)  # noqa: UP017
    return instant.replace(minute=0, second=0).isoformat(timespec="minutes")


def _regrouped(judged: Judged, label: dict[str, str]) -> dict[tuple[str, str, str], Figures]:
    cells: dict[tuple[str, str, str], Figures] = {}
    seen: set[tuple[str, str]] = set()
    for row in judged.accepted:
        cell = cells.setdefault((row.product_id, label[row.invoice], "GBP"), Figures())
        is_refund = row.invoice.startswith("C")
        first = (row.invoice, row.product_id) not in seen
        seen.add((row.invoice, row.product_id))
        if is_refund:
            cell.refunds += first
            cell.units_refunded += row.quantity
            cell.refunded_minor += row.amount_minor
        else:
            cell.orders += first
            cell.units_sold += row.quantity
            cell.gross_minor += row.amount_minor
    return cells


def check_product_days(one: HalfYear) -> None:
    figures = one.shop.ok("figures", "--by", "product,day", *LONDON_DAYS, "--format", "csv")
    shown = "".join(f"{','.join(row)}\n" for row in columns(figures))
    assert shown == oracle_text(one.cells)


def check_nothing_is_lost(one: HalfYear) -> dict[str, Any]:
    """Lost, waiting or dead. Returns the whole status."""
    status: dict[str, Any] = json.loads(one.shop.ok("status", "--json"))
    assert [part["holes"] for part in status["partitions"] if part["holes"]] == []
    assert {part["lag_events"] for part in status["partitions"]} == {0}
    assert {part["stopped"] for part in status["partitions"]} == {None}
    lanes = status["lanes"]
    assert {(lane["ready"], lane["claimed"], lane["failed"], lane["dead"]) for lane in lanes} == {(0, 0, 0, 0)}
    assert sum(lane["sent"] for lane in lanes) == one.events
    stamp = status["completeness"]
    assert (stamp["level"], stamp["missing"], stamp["parked"], stamp["on_their_way"]) == ("ok", 0, 0, 0)
    return status


def by_name(kills: Iterable[Kill]) -> Counter[str]:
    return Counter(kill.role for kill in kills)
