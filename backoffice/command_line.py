"""The commands that look at a shop or mend it.

The processes are in processes.py, and what needs the commerce API is in __main__.py. Each imports what it
runs only when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .options import Data, Json, Zone, choice, console, settings_of_a_shop
from .rebuild_command import rebuild
from .settings import read_settings


def add_groups(app: typer.Typer) -> None:
    """The commands that stand behind a noun of their own."""
    outbox = typer.Typer(no_args_is_help=True, help="Rows that can't be sent, and what to do about them.")
    topics = typer.Typer(no_args_is_help=True, help="How the log keeps its topics.")
    events = typer.Typer(no_args_is_help=True, help="The facts.")
    events.callback()(lambda: None)
    for group, commands in (
        (outbox, (dead, redrive, reincarnate)),
        (topics, (plan, apply, check)),
        (events, (schema,)),
    ):
        for command in commands:
            group.command()(command)
    topics.command("status")(topics_status)
    topics.command()(migrate)
    app.add_typer(outbox, name="outbox")
    app.add_typer(topics, name="topics")
    app.add_typer(events, name="events")


def config(data: Data = None, json: Json = False) -> None:
    """Show every setting: its value, its default, where the value comes from, and what it means."""
    from .commands.config import as_json, as_text, shown_settings

    shown = shown_settings(read_settings(data), os.environ, data_option=data is not None)
    typer.echo(as_json(shown) if json else as_text(shown))


def schema(data: Data = None) -> None:
    """Print the JSON Schema of every event, as it stands in the log."""
    from .commands.events import events_schema

    typer.echo(events_schema())


def figures(
    data: Data = None,
    by: Annotated[
        str, typer.Option(metavar="KEYS", help="product, and 15min, hour, day, week or month: product,day or week …")
    ] = "product,day",
    tz: Zone = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help="The first day, as 2011-03-27.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day, itself included.")] = None,
    product: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this one. May be repeated.")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="table|csv|json|parquet", help="table is for eyes.")
    ] = "table",
    *,
    ratios: Annotated[
        bool, typer.Option("--ratios", help="With conversion and like rate, empty where there is nothing to divide by.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Where they go instead of the screen.")
    ] = None,
) -> None:
    """Print the figures, sorted by their keys. Money is in minor units."""
    from .commands.figures import Format, deliver, figures_as, question_from_options
    from .stores import Stores

    settings = settings_of_a_shop(data)
    question = question_from_options(by, tz or settings.time_zone, first, last, product, ratios=ratios)
    chosen = choice(Format, form)
    if chosen is Format.PARQUET and output is None and sys.stdout.isatty():
        raise typer.BadParameter("parquet is not for a screen: add --output FILE")

    async def answer() -> bytes:
        async with Stores(settings) as stores:
            return await figures_as(stores.read_model(), question, chosen, None if output else console().width)

    deliver(asyncio.run(answer()), output, sys.stdout.buffer)


def status(
    data: Data = None,
    json: Json = False,
    over_s: Annotated[
        float, typer.Option("--over", metavar="S", min=0, max=60, help="Seconds to measure throughput over; 0: don't.")
    ] = 1.0,
) -> None:
    """Show where every event is and how fast it moves: outbox, log, figures, dead letters, generations.

    Exit code 1 where the log can't be reached; what the databases say is shown all the same.
    """
    from .commands.status import print_status, status_json, watched
    from .pipeline_status import PipelineStatus, StatusWithoutLog
    from .silence import Silence
    from .stores import Stores

    settings = settings_of_a_shop(data)

    async def answer() -> PipelineStatus | StatusWithoutLog:
        async with Stores(settings) as stores:
            return await watched(stores.pipeline(stores.cache(Silence())), over_s)

    found = asyncio.run(answer())
    if json:
        typer.echo(status_json(found), nl=False)
    else:
        print_status(console(), found)
    if isinstance(found, StatusWithoutLog):
        typer.echo(found.log_error, err=True)
        raise typer.Exit(1)


def drain(
    data: Data = None,
    timeout_s: Annotated[float | None, typer.Option("--timeout", metavar="S", help="Seconds to wait at most.")] = None,
) -> None:
    """Wait until everything accepted is counted, also for a server that is away. Exit code 1 when it isn't in time."""
    from .commands.drain import Drained, drain, progress_line, remarks
    from .stores import Stores

    settings = settings_of_a_shop(data)
    screen = console(stderr=True)

    async def wait() -> Drained:
        async with Stores(settings) as stores:
            with screen.status("Draining") as line:
                return await drain(
                    stores.pipeline(),
                    timeout_s,
                    lambda now: line.update(progress_line(now)),
                    lambda why: typer.echo(f"Waiting: {why}", err=True),
                )

    drained = asyncio.run(wait())
    for remark in remarks(drained):
        typer.echo(remark, err=True)
    raise typer.Exit(drained.exit_code)


def explain(
    data: Data = None,
    product: Annotated[str, typer.Option("--product", metavar="ID", help="Which product.")] = ...,  # type: ignore[assignment]
    day: Annotated[str, typer.Option("--day", metavar="DAY", help="Which day, as 2011-03-27.")] = ...,  # type: ignore[assignment]
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Such as gross_minor or likes.")] = ...,  # type: ignore[assignment]
    tz: Zone = None,
    json: Json = False,
) -> None:
    """Show the events behind one figure, and their sum beside the figure. Exit code 1 when they differ."""
    from .commands.explain import explanations, explanations_json, print_explanations

    settings = settings_of_a_shop(data)
    found = asyncio.run(explanations(settings, product, day, metric, tz or settings.time_zone))
    if json:
        typer.echo(explanations_json(product, found))
    else:
        print_explanations(console(), product, found)
    raise typer.Exit(0 if all(one.adds_up for one, _ in found) else 1)


def plan(data: Data = None) -> None:
    """Show what `topics apply` would do, and what it can't."""
    from .commands.topics import plan_topics

    differences = asyncio.run(plan_topics(read_settings(data)))
    for one in differences:
        typer.echo(str(one))
    if not differences:
        typer.echo("Nothing is to be done.")


def apply(data: Data = None) -> None:
    """Make topics that are missing, and set what is set otherwise. Exit code 1 for what is left to be done by hand."""
    from .commands.topics import apply_topics

    (done, left) = asyncio.run(apply_topics(read_settings(data)))
    typer.echo("\n".join(one.done for one in done) or "Nothing was to be done.")
    for one in left:
        typer.echo(str(one), err=True)
    raise typer.Exit(1 if left else 0)


def check(data: Data = None, json: Json = False) -> None:
    """Show the topics with their identity. Exit code 1 where one is not as it should be, or not the one counted."""
    from .commands.topics import check_topics, topics_json, topics_table

    shown = asyncio.run(check_topics(read_settings(data)))
    if json:
        typer.echo(topics_json(shown))
    else:
        console().print(topics_table(shown))
        for one in shown.drift:
            typer.echo(one, err=True)
    raise typer.Exit(1 if shown.drift else 0)


def topics_status(data: Data = None, json: Json = False) -> None:
    """Show every version of each topic, and how far it has come: made, read, written, draining, closed."""
    from .commands.topics import status_json, status_table, topics_status

    found = asyncio.run(topics_status(settings_of_a_shop(data)))
    if json:
        typer.echo(status_json(found))
    else:
        console().print(status_table(found))


def migrate(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Such as catalog-events.")],
    partitions: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many the new version is to have.")],
    data: Data = None,
    timeout_s: Annotated[float, typer.Option("--timeout", metavar="S", help="Seconds that a step may wait.")] = 60.0,
) -> None:
    """Move a topic to a new version with another number of partitions, while the shop goes on. Safe to repeat."""
    from event_store.topics import PARTITIONS

    from .commands.topics import migrate_topic

    if topic not in PARTITIONS:
        raise typer.BadParameter(f"{topic!r} is none of {', '.join(PARTITIONS)}")
    asyncio.run(migrate_topic(settings_of_a_shop(data), topic, partitions, timeout_s, typer.echo))


def dead(data: Data = None) -> None:
    """List the rows that the log will never take."""
    from .commands.outbox import dead_rows, dead_table

    rows = asyncio.run(dead_rows(settings_of_a_shop(data)))
    if rows:
        console().print(dead_table(rows))
    else:
        typer.echo("No row is dead.")


def redrive(
    data: Data = None,
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID]...", help="Their numbers in `outbox dead`; all when none is given."),
    ] = None,
) -> None:
    """Send dead rows again, as new rows with new sequences. Mend first what the log refused."""
    from .commands.outbox import redrive
    from .commands.users import at_the_machine

    rows = asyncio.run(redrive(settings_of_a_shop(data), ids or [], at_the_machine()))
    typer.echo(f"{rows} {'row goes' if rows == 1 else 'rows go'} again.")


def reincarnate(data: Data = None) -> None:
    """Go on after the commerce database was put back from an older copy. Stop the relay first."""
    from .commands.outbox import begin_incarnation

    done = asyncio.run(begin_incarnation(settings_of_a_shop(data)))
    typer.echo(f"{done.source}: {done.already_sent} rows were sent before and are done, {done.waiting} go now.")


COMMANDS = (figures, explain, status, drain, rebuild, config)
"""Those that stand alone."""
