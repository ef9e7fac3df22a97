"""The excerpt in parts, so that a shop can be sent a little at a time and be held to the oracle after each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from tests import retail_oracle

Row = tuple[str | int, ...]


@dataclass(frozen=True)
class Part:
    """Some whole invoices, and what the figures must be once this part and all before it are counted."""

    file: Path
    expected: list[Row]


def parts(folder: Path, number: int, file: Path = retail_oracle.EXCERPT) -> list[Part]:
    """The file's invoices in `number` parts of about as many each."""
    with retail_oracle.open_text(file) as text:
        (header, *rows) = csv.reader(text)
    invoices: dict[str, list[list[str]]] = {}
    for row in rows:
        invoices.setdefault(row[0], []).append(row)
    names = list(invoices)
    made = []
    for part in range(number):
        (start, end) = (len(names) * part // number, len(names) * (part + 1) // number)
        alone = _write(folder / f"part-{part}-of-{number}.csv", header, [invoices[name] for name in names[start:end]])
        so_far = _write(folder / f"up-to-{part}-of-{number}.csv", header, [invoices[name] for name in names[:end]])
        made.append(Part(alone, retail_oracle.oracle(so_far)))
    return made


def _write(file: Path, header: list[str], invoices: list[list[list[str]]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *(row for rows in invoices for row in rows)])
    return file
