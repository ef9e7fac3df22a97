"""`countinghouse status`: where every event is, for people and, with --json, for programs (docs/status.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from backoffice.guarded_cache import CacheStatus
from backoffice.lateness import remarks
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import (
    CompletenessStamp,
    DeadLetterCount,
    GenerationStatus,
    LaneStatus,
    PipelineStatus,
    StatusWithoutLog,
)
from event_store.errors import LogUnavailable


class NothingStartedError(Exception):
    """The shop's files aren't there yet. The message names them and the command that makes them."""


def require_files(files: Mapping[str, Path]) -> None:
    """Raises NothingStartedError unless each file (what it is → where) exists; looking must not make them."""
    absent = [f"{what} ({path})" for what, path in files.items() if not path.is_file()]
    if absent:
        raise NothingStartedError(
            f"Nothing has been started here: there is no {', no '.join(absent)}. "
            "Start the shop with `countinghouse up`, or `countinghouse demo` for one with data; "
            "`--data` names another folder."
        )


def status_json(status: PipelineStatus | StatusWithoutLog) -> bytes:
    return msgspec.json.format(msgspec.json.encode(status), indent=2) + b"\n"


async def watched(pipeline: Pipeline, over_s: float) -> PipelineStatus | StatusWithoutLog:
    """The status, with rates measured over `over_s`; without them for 0, or where the log is away."""
    try:
        if over_s:
            await pipeline.completeness()
            await asyncio.sleep(over_s)
        return await pipeline.status()
    except LogUnavailable as error:
        return await pipeline.status_without_log(str(error))


def print_status(console: Console, status: PipelineStatus | StatusWithoutLog) -> None:
    if isinstance(status, PipelineStatus):
        console.print(Text(sentence(status.completeness), style=_STYLES[status.completeness.level]))
    else:
        console.print(Text(WITHOUT_LOG, style=_STYLES["broken"]))
        for one in status.paused:
            console.print(Text(f"{one.sentence}.", style=_STYLES["late"]))
    console.print(Group(*_parts(status)))


def sentence(stamp: CompletenessStamp) -> str:
    """`Complete up to 2011-03-27T10:00:00Z, offset 812; 3 events on their way; 1 parked.`"""
    parts = [f"Complete up to {stamp.complete_up_to.isoformat(timespec='seconds')}, offset {stamp.offset}"]
    parts.append(f"{stamp.on_their_way} events on their way")
    if stamp.parked:
        parts.append(f"{stamp.parked} parked")
    if stamp.missing:
        parts.append(f"{stamp.missing} missing from the log")
    parts += [one.sentence for one in stamp.paused]
    if stamp.rebuild:
        parts.append(stamp.rebuild.words)
    return "; ".join(parts) + "."


_STYLES = {"ok": "green", "late": "yellow", "broken": "bold red"}
WITHOUT_LOG = (
    "The log can't be reached, so nobody can say how complete the figures are. This is what the databases say."
)


def _parts(status: PipelineStatus | StatusWithoutLog) -> list[RenderableType]:
    partitions = _partitions(status) if isinstance(status, PipelineStatus) else _counted(status)
    parts: list[RenderableType] = ["", _lanes(status.lanes), "", partitions]
    parts += [Text(f"  {line}", style="yellow") for line in remarks(status)]
    if status.dead_letters:
        parts += ["", _dead_letters(status.dead_letters)]
    parts += ["", _generations(status.generations)]
    if status.cache is not None and not status.cache.usable:
        parts += ["", Text(_without_cache(status.cache), style="yellow")]
    return parts


def _without_cache(cache: CacheStatus) -> str:
    return f"The cache at {cache.address} can't be used, and the database answers instead: {cache.detail}"


def _lanes(lanes: Sequence[LaneStatus]) -> Table:
    numbers = ["ready", "claimed", "failed", "dead", "sent", "sent/s", "oldest waiting"]
    table = _table("Outbox", ["lane"], numbers, ["relay"])
    for one in lanes:
        counts = (one.ready, one.claimed, one.failed, one.dead, one.sent, _rate(one.sent_per_s))
        waits = _seconds(one.oldest_waiting_s) if one.waiting else ""
        table.add_row(f"{one.topic}/{one.partition}", *map(str, counts), waits, Text(one.owner or "nobody"))
    return table


def _partitions(status: PipelineStatus) -> Table:
    numbers = ["log end", "position", "lag", "lag time", "new/s", "counted/s", "repeats", "dead", "holes", "rebalances"]
    table = _table(f"Log and figures{_measured(status)}", ["partition"], numbers, ["consumer"])
    for one in status.partitions:
        ends = (one.log_end, one.position, one.lag_events)
        rates = (_rate(one.arrived_per_s), _rate(one.counted_per_s))
        rest = (one.duplicates, one.dead, len(one.holes), one.rebalances)
        cells = (*ends, _seconds(one.lag_s), *rates, *rest)
        table.add_row(f"{one.topic}/{one.partition}", *map(str, cells), Text(one.consumer or "nobody"))
    return table


def _counted(status: StatusWithoutLog) -> Table:
    numbers = ["position", "repeats", "dead", "holes", "rebalances"]
    table = _table(f"Figures{_at_work(status.consumers)}", ["partition"], numbers, ["consumer"])
    for one in status.partitions:
        cells = (one.position, one.duplicates, one.dead, len(one.holes), one.rebalances)
        table.add_row(f"{one.topic}/{one.partition}", *map(str, cells), Text(one.consumer or "nobody"))
    return table


def _measured(status: PipelineStatus) -> str:
    consumers = _at_work(status.consumers)
    return consumers if status.rates_over_s is None else f"{consumers}; rates over {status.rates_over_s:.1f} s"


def _at_work(consumers: int) -> str:
    return f"; {consumers} {'consumer' if consumers == 1 else 'consumers'} at work"


def _dead_letters(dead_letters: Sequence[DeadLetterCount]) -> Table:
    table = _table("Dead letters", ["reason"], ["events"], ["newest"])
    for one in dead_letters:
        table.add_row(Text(one.reason), str(one.events), Text(one.newest_detail))
    return table


def _generations(generations: Sequence[GenerationStatus]) -> Table:
    table = _table("Generations", ["number", "state", "made", "served"], [], ["note"])
    for one in generations:
        served = one.served_at.isoformat(timespec="seconds") if one.served_at else ""
        made = one.created_at.isoformat(timespec="seconds")
        table.add_row(str(one.number), one.state, made, served, Text(one.note))
    return table


def _table(title: str, left: list[str], numbers: list[str], right: list[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in right:
        table.add_column(name, overflow="fold")
    return table


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f} s"
