"""The commands that hold a part of the line still, which `/pipeline` does, too.

Each imports what it runs only when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from .options import Data, settings_of_a_dashboard

PartName = Annotated[
    str, typer.Argument(metavar="relay|consumer|rebuild", help="Every process of it, wherever it runs.")
]


def pause(
    part: PartName,
    data: Data = None,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the pause and in the audit.")],
) -> None:
    """Hold sending (relay), counting (consumer) or rebuilding still until it is resumed. What is begun is finished."""
    from .commands.pause import pause as paused

    ended = asyncio.run(paused(settings_of_a_dashboard(data), part, why))
    typer.echo(f"The {ended.part} is paused; its processes obey within two seconds.")


def resume(part: PartName, data: Data = None) -> None:
    """Let a paused part go on."""
    from .commands.pause import resume as resumed

    ended = asyncio.run(resumed(settings_of_a_dashboard(data), part))
    typer.echo(f"The {ended.part} goes on; {ended.who} had paused it: {ended.why}")


COMMANDS = (pause, resume)
