"""The command line's beginning, and the one place where every package meets: it starts the processes.

Exit codes: failures.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from event_store.interpreter import made_for_small_frames

from . import access_commands, command_line, letter_commands, pause_commands, processes
from .failures import CommandFailed, exit_code
from .options import ApiUrl, Data, Speed, console, run_process, settings_of_a_shop
from .settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from .databases import Database
    from .supervisor import Child

NEWS_EVERY_S = 30.0  # How often the shoppers of the demo say what they did.


def main() -> None:
    """Runs the command line. Every expected failure is one clear line on standard error."""
    made_for_small_frames()
    logging.getLogger().addHandler(logging.NullHandler())  # Libraries would write there, too, where nobody logs.
    try:
        command_line_app()()
    except SettingsError as error:
        _end(error.problems, 2)
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        _end([str(error)], code)


def command_line_app() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True)
    app.callback()(countinghouse)
    commands: tuple[Callable[..., None], ...] = (
        *(up, demo, api, *processes.COMMANDS),
        *(migrate, move, shoppers, *command_line.COMMANDS, *pause_commands.COMMANDS),
    )
    for command in commands:
        app.command()(command)
    imports = typer.Typer(no_args_is_help=True, help="Bring in a shop's own records.")
    imports.callback()(lambda: None)
    imports.command("online-retail")(import_retail)
    app.add_typer(imports, name="import")
    command_line.add_groups(app)
    access_commands.add_groups(app)
    letter_commands.add_group(app)
    app.command(hidden=True)(docs)
    return app


def countinghouse(data: Data = None) -> None:
    """The event-sourced back office of a shop. Every command takes --data, before its name or after it."""


def up(data: Data = None) -> None:
    """Run every process of the shop on this machine. Restarts what dies; Ctrl-C or SIGTERM stops all."""
    _run_set("up", read_settings(data), [])


def demo(data: Data = None, speed: Speed = 20.0) -> None:
    """Run a whole shop with four weeks of real invoices behind it and shoppers in it. In a data folder of its own."""
    from .commands.up import child, demo_settings

    settings = demo_settings(read_settings(data))
    _run_set("demo", settings, [child(settings, "shoppers", "--stall", "--speed", str(speed))])


def _run_set(name: str, settings: Settings, extra: Sequence[Child]) -> None:
    """The processes of one machine. Files are brought up to date by whoever opens them, servers' databases here."""
    from .commands.up import run_up
    from .logs import configure_logs

    configure_logs(settings.log_level, settings.log_format, name)
    asyncio.run(_migrate([one for one in _databases(settings) if not one.is_file]))
    raise typer.Exit(0 if run_up(settings, extra, typer.echo, is_demo=name == "demo") else 1)


def migrate(
    data: Data = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit code 1 if something is to do.")] = False,
) -> None:
    """Bring the tables of both databases to what this version needs. Safe to repeat, and while the shop runs."""
    from .commands.migrate import check_all

    databases = _databases(read_settings(data))
    if check:
        raise typer.Exit(0 if asyncio.run(check_all(databases, typer.echo)) else 1)
    asyncio.run(_migrate(databases))


def move(
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", exists=True, dir_okay=False, help="Settings of the new place.")
    ],
    data: Data = None,
) -> None:
    """Copy log and databases from files to servers, and compare everything. Stop the shop first. Safe to repeat."""
    from event_store.crash_points import CrashPoints

    from .commands.move import Move
    from .settings_file import read_settings_file

    (old, new) = (settings_of_a_shop(data), read_settings_file(to, data))
    asyncio.run(Move(old, new, _databases(old), _databases(new), typer.echo, CrashPoints.from_environment()).run())


async def _migrate(databases: Sequence[Database]) -> None:
    from producer_api.connect import renew_functions
    from producer_api.revisions import COMMERCE

    from .commands.migrate import migrate_all

    await migrate_all(databases, typer.echo)
    for one in databases:
        if COMMERCE in one.sets:
            await renew_functions(one.url)


def _databases(settings: Settings) -> tuple[Database, Database]:
    from producer_api.revisions import COMMERCE

    from .databases import databases_of_dashboard

    (commerce, backoffice) = databases_of_dashboard(settings)
    return replace(commerce, sets=(*commerce.sets, COMMERCE)), backoffice


def shoppers(
    data: Data = None,
    api: ApiUrl = None,
    speed: Speed = 20.0,
    stall: Annotated[bool, typer.Option("--stall", help="One receipt goes wrong, for somebody to correct.")] = False,
) -> None:
    """Bring a running shop to life: four weeks of real invoices moved up to now, then shoppers until stopped."""
    settings = read_settings(data)
    run_process("shoppers", settings, lambda stop: _run_shoppers(settings, api or settings.api_url, speed, stall, stop))


async def _run_shoppers(settings: Settings, api_url: str, speed: float, stall: bool, stop: asyncio.Event) -> None:
    import structlog

    from event_store.backoff import ends_in_time
    from producer_api.real_month import send_real_month
    from producer_api.shoppers import keep_shop

    from .commands.market_stall import leave_receipt

    (log, token) = (structlog.get_logger(), settings.api_token.get_secret_value())

    async def lay_past() -> None:
        log.info("Four weeks of real invoices are sent; the figures grow as they come.", action="shoppers.begun")
        month = await send_real_month(api_url, now=datetime.now(UTC), token=token)
        log.info(month.describe(), action="shoppers.past")

    with _api_failures():
        await ends_in_time(lay_past(), stop, 0)
        if stall and await leave_receipt(settings):
            log.warning("A market stall's receipt can't be counted: see /dead-letters.", action="shoppers.receipt")
        await keep_shop(
            api_url,
            events_per_s=speed,
            stop=stop,
            report=lambda news: log.info(news.describe(), action="shoppers.news"),
            report_every_s=NEWS_EVERY_S,
            token=token,
        )


def api(data: Data = None) -> None:
    """Take what happens in the shop over HTTP, and record it."""
    from .serve import fast_loop

    settings = read_settings(data)
    (commerce, _) = _databases(settings)
    run_process("api", settings, lambda stop: _run_api(settings, commerce, stop), [commerce], fast_loop)


async def _run_api(settings: Settings, database: Database, stop: asyncio.Event) -> None:
    from event_store.crash_points import CrashPoints
    from event_store.topics import PARTITIONS
    from producer_api.app import ApiLimits, create_app
    from producer_api.connect import open_commerce, open_gate, open_pressure
    from producer_api.metrics import ApiMeter
    from producer_api.uvicorn_http import BoundedHttp

    from .databases import watched
    from .process_metrics import process_registry
    from .sign_in.desk import api_wants_tokens, probes_are_open
    from .tracing import tracing
    from .troubles import Troubles
    from .web_server import serve_http

    crash_points = CrashPoints.from_environment()
    meter = ApiMeter()
    commerce = await open_commerce(
        settings.commerce_db_url,
        PARTITIONS,
        before_commit=partial(crash_points.passing, "api.before_commit"),
        after_commit=partial(crash_points.passing, "api.after_commit"),
        committed=meter.committed,
    )
    pressure = open_pressure(settings.commerce_db_url, settings.outbox_limit_rows, settings.outbox_limit_s)
    troubles = Troubles()
    asks = {
        "wants_tokens": api_wants_tokens(settings),
        "open_probes": probes_are_open(settings, settings.api_host),
    }
    try:
        async with (
            open_gate(settings.commerce_db_url, **asks) as gate,
            pressure as bounds,
            watched([database], troubles),
        ):
            registry = process_registry(settings.data_dir)
            limits = ApiLimits(keep_answers_s=settings.answers_kept_hours * 3600, pressure=bounds)
            app = create_app(
                commerce, limits=limits, gate=gate, meter=meter, registry=registry, schema_trouble=troubles.sentence
            )
            with tracing("api", settings.log_url, os.environ) as traced:
                await serve_http(traced.served(app), settings.api_host, settings.api_port, stop, BoundedHttp)
    finally:
        await commerce.close()


@contextlib.contextmanager
def _api_failures() -> Iterator[None]:
    """What a client of the commerce API may meet, as ends of its command."""
    from producer_api.aiohttp_caller import ApiSilent
    from producer_api.online_retail_sending import WrongAddress

    try:
        yield
    except (ApiSilent, WrongAddress) as error:
        raise CommandFailed(f"{error} What was sent is kept: the same command goes on from there.", 1) from error
    except (ValueError, OSError) as error:
        raise CommandFailed(str(error), 2) from error


def import_retail(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A .csv or .csv.xz file.")],
    data: Data = None,
    api: ApiUrl = None,
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Where refused rows go, with reasons.")
    ] = None,
) -> None:
    """Send an Online Retail invoice file through the commerce API. Safe to repeat."""
    from producer_api.online_retail_import import import_online_retail

    from .commands import import_progress, pause

    settings = read_settings(data)
    (api_url, token) = (api or settings.api_url, settings.api_token.get_secret_value())
    with _api_failures(), import_progress.ImportProgress(console(stderr=True)) as progress:
        account = asyncio.run(import_online_retail(file, api_url, rejects, progress=progress.show, token=token))
    typer.echo(account.describe())
    asyncio.run(pause.tell_sender(settings, api, partial(typer.echo, err=True)))
    raise typer.Exit(1 if account.delivery.failed else 0)


def docs(folder: Path) -> None:
    """Write the pages of docs/ that come from declarations."""
    from producer_api.backpressure import Backpressure
    from producer_api.metrics import ApiCollector, ApiMeter

    from .commands.docs import write_pages

    meter = ApiMeter()
    meter.request("POST", "/v1/orders", 201, 0.0)
    write_pages(folder, command_line_app(), ApiCollector(meter, Backpressure()))


def _end(lines: list[str], code: int) -> NoReturn:
    typer.echo("\n".join(lines), err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
