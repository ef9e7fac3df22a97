"""What the commands of the command line share: options, settings, how output and processes begin."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from .settings import Settings, read_settings

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from rich.console import Console

    from .databases import Database
    from .serve import Work


def _data_before_or_after(context: typer.Context, value: Path | None) -> Path | None:
    """`countinghouse --data DIR status` means what `countinghouse status --data DIR` does."""
    before: Path | None = context.find_root().params.get("data")
    return value if value is not None else before


Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Where the files live.", show_default=False, callback=_data_before_or_after
    ),
]
ApiUrl = Annotated[str | None, typer.Option("--api", metavar="URL", help="Where the commerce API answers.")]
Speed = Annotated[float, typer.Option(metavar="N", min=0.1, max=1000, help="What the shoppers do, in events a second.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
Zone = Annotated[
    str | None,
    typer.Option("--tz", metavar="ZONE", help="The IANA time zone whose days and hours are meant.", show_default=False),
]

PIPED_WIDTH = 200
"""Characters in a line of a table that goes into a file or a pipe: nobody's window is to fold it."""

Choice = TypeVar("Choice", bound=StrEnum)


def settings_of_a_shop(data: Path | None) -> Settings:
    """For commands that look at a shop: looking must not make one. Raises NothingStartedError and CommandFailed."""
    from .databases import backoffice_database, commerce_database

    settings = read_settings(data)
    _require_begun([commerce_database(settings), backoffice_database(settings)], {"log": settings.log_url})
    return settings


def settings_of_a_dashboard(data: Path | None, *, begins: bool = False) -> Settings:
    """For commands about what the dashboard keeps. `begins`: whether one may be a shop's first; looking must not be."""
    from .databases import databases_of_dashboard, require_head

    settings = read_settings(data)
    databases = databases_of_dashboard(settings)
    if begins:
        asyncio.run(require_head(databases))
    else:
        _require_begun(databases, {})
    return settings


def _require_begun(databases: Sequence[Database], more: Mapping[str, str]) -> None:
    """`more`: what else a shop has, and where. Raises NothingStartedError and CommandFailed."""
    from event_store.connect import file_of

    from .commands.status import require_files
    from .databases import require_head

    files = {title: file_of(url) for title, url in {**{one.title: one.url for one in databases}, **more}.items()}
    require_files({title: file for title, file in files.items() if file is not None})
    asyncio.run(require_head(databases))


def run_process(
    name: str,
    settings: Settings,
    work: Work,
    databases: Sequence[Database] = (),
    loop_factory: Callable[[], AbstractEventLoop] | None = None,
) -> None:
    """A process of ours: log lines under its name, and a clean stop on SIGTERM.

    Raises CommandFailed where one of its `databases` can't be used or isn't migrated.
    """
    import structlog

    from .databases import require_head
    from .logs import configure_logs
    from .serve import run_until_stopped

    configure_logs(settings.log_level, settings.log_format, name)
    for remark in asyncio.run(require_head(databases)):
        structlog.get_logger().info(remark, action="schema.ahead")
    run_until_stopped(work, grace_s=settings.stop_grace_s, loop_factory=loop_factory)


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else PIPED_WIDTH, highlight=False)


def choice(kind: type[Choice], text: str) -> Choice:
    try:
        return kind(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(kind)}") from None
