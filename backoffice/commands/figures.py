"""`countinghouse figures`: the figures as a table for eyes, or exactly, as CSV, JSON or Parquet.

Nothing is formatted or escaped beyond what the format itself asks for: money is minor units, and a product id that
begins with `=` stays as it is. (The dashboard's downloads, which people open in spreadsheets, are another matter.)
"""

from __future__ import annotations

import io
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backoffice.failures import CommandFailed
from projections.figures import Question, figures, grouping
from projections.periods import range_named
from projections.read_model import ReadModel


class Format(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def question_from_options(
    by: str,
    tz: str,
    first: str | None = None,
    last: str | None = None,
    products: list[str] | None = None,
    *,
    ratios: bool = False,
) -> Question:
    """The question that the options ask; `first` and `last` are days, both included. Raises QuestionError."""
    return Question(grouping(by), tz, range_named(first, last), tuple(products) if products else None, ratios)


async def figures_as(read_model: ReadModel, question: Question, form: Format, width: int | None = None) -> bytes:
    """The answer in that form; `width` is how many characters a line of a table may have."""
    answer = await figures(read_model, question)
    if form is Format.CSV:
        return answer.write_csv().encode()
    if form is Format.JSON:
        return answer.write_json().encode() + b"\n"
    if form is Format.PARQUET:
        buffer = io.BytesIO()
        answer.write_parquet(buffer)
        return buffer.getvalue()
    return _table(answer, width).encode()


def deliver(answer: bytes, file: Path | None, screen: BinaryIO) -> None:
    """Writes the answer; a file takes its name when it is whole. Raises CommandFailed."""
    if file is None:
        screen.write(answer)
        return
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        unfinished.write_bytes(answer)
        unfinished.replace(file)
    except OSError as error:
        raise CommandFailed(f"{file} can't be written: {error.strerror or error}.", 2) from error


LEAST_TEXT = 12
"""A text column may fold to so many characters where the table is too wide; numbers and times are never broken."""


def _table(answer: pl.DataFrame, width: int | None) -> str:
    if not answer.height:
        return "No figures in this range.\n"
    cells = [[name, *("" if value is None else str(value) for value in answer[name])] for name in answer.columns]
    widths = [max(len(cell) for cell in column) for column in cells]
    excess = 0 if width is None else sum(widths) + 2 * (len(widths) - 1) - width
    if answer.columns[0] == "product_id" and excess > 0:
        widths[0] = max(min(LEAST_TEXT, widths[0]), widths[0] - excess)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name, kind, wide in zip(answer.columns, answer.dtypes, widths, strict=True):
        table.add_column(name, width=wide, justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in zip(*(column[1:] for column in cells), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    out = io.StringIO()
    Console(file=out, width=sum(widths) + 2 * len(widths)).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
