"""The command `rebuild`, for whoever sits at the machine and for the dashboard, which starts it as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Data, console, settings_of_a_shop
from .settings import SUPERVISED

if TYPE_CHECKING:
    from event_store.audit import Entry
    from projections.rebuild import Rebuilt

    from .commands.rebuild import ReportedProgress, ShownProgress
    from .rebuild_order import Order
    from .settings import Settings


def rebuild(
    data: Data = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Let the generation before serve again.")] = False,
    accept_differences: Annotated[
        str | None, typer.Option(metavar="REASON", help="Switch although the figures differ; the reason is kept.")
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Kept with the generation.")] = "rebuilt by an operator",
    records_per_s: Annotated[
        float | None,
        typer.Option(metavar="N", min=1, help="Count no more than so many records a second up to the comparison."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Say everything as lines of JSON (docs/rebuild.md).")] = False,
    who: Annotated[str, typer.Option(hidden=True)] = "",
    request_id: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Count everything again from offset zero beside the serving figures, compare, and switch if equal.

    Ctrl-C or SIGTERM cancels it: nothing is switched then.
    """
    from .commands.rebuild import ReportedProgress, ShownProgress
    from .rebuild_order import Order

    settings = settings_of_a_shop(data)
    order = Order(
        note=note,
        entry=_entry(who, request_id),
        accept_differences=accept_differences,
        is_rollback=rollback,
        records_per_s=records_per_s,
    )
    if json:
        _reported(settings, order, ReportedProgress(sys.stdout.buffer))
        return
    done = _shown(settings, order, ShownProgress(console(stderr=True)))
    typer.echo(f"Generation {done.generation} serves in place of {done.replaced}; {done.records} records were counted.")


def _entry(who: str, request_id: str) -> Entry:
    """The dashboard says for whom it acts; from anybody else that would be a name to hide behind."""
    from event_store.audit import Entry

    from .commands.users import at_the_machine

    if who and SUPERVISED in os.environ:
        return Entry(who=who, what="", request_id=request_id)
    return at_the_machine()


def _shown(settings: Settings, order: Order, progress: ShownProgress) -> Rebuilt:
    try:
        return _carried_out(settings, order, progress)
    finally:
        progress.end()


def _reported(settings: Settings, order: Order, progress: ReportedProgress) -> None:
    from event_store.errors import EventStoreError

    try:
        progress.ended(_carried_out(settings, order, progress))
    except EventStoreError as error:
        progress.failed(error)
        raise


def _carried_out(settings: Settings, order: Order, progress: ShownProgress | ReportedProgress) -> Rebuilt:
    from .commands.rebuild import carried_out
    from .serve import run_until_stopped

    done: list[Rebuilt] = []

    async def work(stop: asyncio.Event) -> None:
        done.append(await carried_out(settings, order, progress, stop, tells_of_cancel=SUPERVISED not in os.environ))

    run_until_stopped(work, grace_s=settings.stop_grace_s)
    return done[0]
