"""The commands about dead letters, which `/dead-letters` does, too.

Each imports what it runs only when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .options import Data, Json, console, settings_of_a_dashboard

Place = Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="As `letters list` shows it.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the decision and in the audit.")]
File = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The corrected event, as JSON.")]


def add_group(app: typer.Typer) -> None:
    letters = typer.Typer(no_args_is_help=True, help="Records that could not be counted, and what to do about them.")
    letters.command("list")(list_letters)
    for command in (discard, redrive, send):
        letters.command()(command)
    app.add_typer(letters, name="letters")


def list_letters(
    data: Data = None,
    reason: Annotated[str, typer.Option(metavar="WORD", help="Only those of this reason.")] = "",
    state: Annotated[
        str, typer.Option(metavar="STATE", help="all, undecided, decided, discarded, redriven or unsent.")
    ] = "undecided",
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, max=100_000, help="The newest so many.")] = 50,
    *,
    json: Json = False,
) -> None:
    """Show the dead letters, the newest first."""
    from .commands.letters import letters_json, letters_table, newest

    found = asyncio.run(newest(settings_of_a_dashboard(data), reason, state, most))
    if json:
        typer.echo(letters_json(found))
    elif found:
        console().print(letters_table(found))
    else:
        typer.echo("There is none.")


def discard(
    data: Data = None,
    place: Annotated[str, typer.Argument(metavar="[TOPIC/PARTITION/OFFSET]", help="As `letters list` shows it.")] = "",
    reason: Annotated[
        str, typer.Option("--all", metavar="WORD", help="In place of one: all undecided ones of this reason.")
    ] = "",
    count: Annotated[int, typer.Option(metavar="N", min=0, help="How many these are; else nothing is done.")] = 0,
    *,
    why: Why,
) -> None:
    """Decide that a record, or all of one reason, stays uncounted. It is kept; nobody is reminded any more."""
    from .commands.letters import discard as discard_one
    from .commands.letters import discard_all

    if bool(place) == bool(reason):
        raise typer.BadParameter("name one place, or --all with a reason and --count")
    settings = settings_of_a_dashboard(data)
    asyncio.run(discard_all(settings, reason, count, why) if reason else discard_one(settings, place, why))
    of_reason = "1 letter is" if count == 1 else f"{count:,} letters are"
    typer.echo(f"{of_reason if reason else f'{place} is'} discarded.")


def redrive(
    place: Place,
    file: File,
    data: Data = None,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the decision and in the audit.")] = "",
    preview: Annotated[bool, typer.Option("--preview", help="Only show what the event would add.")] = False,
) -> None:
    """Write a corrected event in the stead of a record that could not be counted."""
    from .commands.letters import additions_table
    from .commands.letters import preview as previewed
    from .commands.letters import redrive as redriven

    settings = settings_of_a_dashboard(data)
    console().print(additions_table(asyncio.run(previewed(settings, place, file))))
    if not preview:
        asyncio.run(redriven(settings, place, file, why))
        typer.echo(f"{place} is re-driven.")


def send(place: Place, data: Data = None) -> None:
    """Go on with a correction that was broken off before it was known to be in the outbox. It is written once."""
    from .commands.letters import send as sent

    asyncio.run(sent(settings_of_a_dashboard(data), place))
    typer.echo(f"The corrected event of {place} is in the outbox.")
