"""The command line's beginning, and the one place where every package meets: it starts the processes.

Exit codes: failures.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from . import command_line
from .options import Data, run_process
from .settings import SettingsError, read_settings


def main() -> None:
    """Runs the command line. Every expected failure is one clear line on standard error."""
    try:
        command_line_app()()
    except SettingsError as error:
        _end(error.problems, 2)
    except Exception as error:
        from .failures import exit_code

        code = exit_code(error)
        if code is None:
            raise
        _end([str(error)], code)


def command_line_app() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True)
    app.callback()(countinghouse)
    commands: tuple[Callable[..., None], ...] = (
        up,
        relay,
        consumer,
        archiver,
        command_line.figures,
        command_line.explain,
        command_line.status,
        command_line.drain,
        command_line.rebuild,
        command_line.config,
    )
    for command in commands:
        app.command()(command)
    outbox = typer.Typer(no_args_is_help=True, help="Rows that can't be sent, and what to do about them.")
    outbox.command()(command_line.dead)
    outbox.command()(command_line.redrive)
    outbox.command()(command_line.reincarnate)
    events = typer.Typer(no_args_is_help=True, help="The facts.")
    events.callback()(lambda: None)
    events.command()(command_line.schema)
    app.add_typer(outbox, name="outbox")
    app.add_typer(events, name="events")
    return app


def countinghouse(data: Data = None) -> None:
    """The event-sourced back office of a shop. Every command takes --data, before its name or after it."""


def up(data: Data = None) -> None:
    """Run every process of the shop on this machine. Restarts what dies; Ctrl-C or SIGTERM stops all."""
    from .commands.up import run_up
    from .logs import configure_logs

    settings = read_settings(data)
    configure_logs(settings.log_level, settings.log_format, "up")
    raise typer.Exit(0 if run_up(settings, [], typer.echo) else 1)


def relay(data: Data = None) -> None:
    """Bring the outbox to the log."""
    from .commands.relay import run_relay

    settings = read_settings(data)
    run_process("relay", settings, lambda stop: run_relay(settings, stop))


def consumer(data: Data = None) -> None:
    """Count the log into the figures."""
    from .commands.consumer import run_consumer

    settings = read_settings(data)
    run_process("consumer", settings, lambda stop: run_consumer(settings, stop))


def archiver(data: Data = None) -> None:
    """Keep the log as Parquet, for rebuilds."""
    from .commands.archiver import run_archiver

    settings = read_settings(data)
    run_process("archiver", settings, lambda stop: run_archiver(settings, stop))


def _end(lines: list[str], code: int) -> NoReturn:
    for line in lines:
        typer.echo(line, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
