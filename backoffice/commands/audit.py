"""`countinghouse audit`: who did what, and whether that is still as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from backoffice.failures import CommandFailed
from backoffice.instants import utc
from backoffice.sign_in.gate import Office
from event_store.audit import Recorded, Verdict

Placed = tuple[str, Recorded]
_NOTED = re.compile(r"(\w+):([0-9]{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class PlacedVerdict:
    place: str
    verdict: Verdict

    @property
    def is_whole(self) -> bool:
        return not self.verdict.fault

    @property
    def sentence(self) -> str:
        (rows, fault) = (self.verdict.rows, self.verdict.fault)
        if fault:
            return f"{self.place}: {fault}. Rows 1 to {rows} are whole." if rows else f"{self.place}: {fault}."
        last = f" To note elsewhere: {self.place}:{rows}:{self.verdict.hash.hex()}" if rows else ""
        return f"{self.place}: {rows} rows, all as they were written.{last}"


async def newest(office: Office, most: int) -> Sequence[Placed]:
    """Of all databases, newest first."""
    rows = [(place, row) for place, audit in office.audits.items() for row in await audit.older(most=most)]
    return sorted(rows, key=lambda placed: (placed[1].at_us, placed[1].number), reverse=True)[:most]


async def verdicts(office: Office, noted: Sequence[str]) -> Sequence[PlacedVerdict]:
    """Raises CommandFailed for a note that is none."""
    known = _known(noted, list(office.audits))
    return [PlacedVerdict(place, await audit.verify(known[place])) for place, audit in office.audits.items()]


def _known(noted: Sequence[str], places: Sequence[str]) -> Mapping[str, Mapping[int, bytes]]:
    known: dict[str, dict[int, bytes]] = {place: {} for place in places}
    for text in noted:
        found = _NOTED.fullmatch(text)
        if found is None or found[1] not in known:
            raise CommandFailed(f"{text[:100]!r} is none of {', '.join(f'{place}:ROW:HASH' for place in places)}.", 2)
        known[found[1]][int(found[2])] = bytes.fromhex(found[3])
    return known


def audit_table(rows: Sequence[Placed]) -> Table:
    table = Table("where", "row", "when", "who", "what", "on", "before", "after", "reason")
    for place, row in rows:
        texts = [Text(text) for text in (row.who, row.what, row.on, row.before, row.after, row.reason)]
        table.add_row(place, str(row.number), utc(row.at_us), *texts)
    return table


def audit_json(rows: Sequence[Placed]) -> str:
    shown = [{"where": place, **asdict(row), "hash": row.hash.hex()} for place, row in rows]
    return json.dumps(shown, indent=2, ensure_ascii=False)
