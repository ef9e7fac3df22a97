"""`make docs`: the pages of docs/ that are written from declarations, so that they can't say anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from prometheus_client.registry import Collector
from typer.core import TyperGroup

from backoffice.commands.config import settings_page
from backoffice.declared_metrics import Declared, declared

COMMANDS_HEAD = """\
# Commands

Every command takes `--data DIR`, before its name or after it, or reads `COUNTINGHOUSE_DATA_DIR`; see
[settings](settings.md). Exit codes: 0 done; 1 it didn't work out, and standard error says why; 2 it could not begin:
an option, a setting, an address or a data folder in use. This page is written by `make docs`.
"""

METRICS_HEAD = """\
# Metrics

In Prometheus' text format. Labels are topics, partitions and words of ours, never ids, so their number is bounded.
What they are called elsewhere, rules for alerts and a dashboard for Grafana: [observability.md](observability.md). This
page is written by `make docs`.
"""


def write_pages(folder: Path, app: typer.Typer, api_collector: Collector) -> None:
    for name, text in pages(app, api_collector).items():
        (folder / name).write_text(text, encoding="utf-8")


def pages(app: typer.Typer, api_collector: Collector) -> Mapping[str, str]:
    """File name → text."""
    return {
        "settings.md": settings_page(),
        "commands.md": commands_page(app),
        "metrics.md": metrics_page(api_collector),
    }


def commands_page(app: typer.Typer) -> str:
    return COMMANDS_HEAD + "".join(_commands("countinghouse", typer.main.get_group(app)))


def _commands(path: str, group: TyperGroup) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(f"{path} {name}", command)
        elif not command.hidden:
            yield _command(f"{path} {name}", command)


def _command(path: str, command: Any) -> str:
    own = [one for one in command.params if one.name != "data" and not getattr(one, "hidden", False)]
    arguments = [one.metavar or one.name.upper() for one in own if one.param_type_name == "argument"]
    text = f"\n## `{' '.join([path, *arguments])}`\n\n{command.help}\n"
    if own:
        text += "\n| | meaning |\n|---|---|\n" + "".join(map(_parameter, own))
    return text


def _parameter(one: Any) -> str:
    if one.param_type_name == "argument":
        names = one.metavar or one.name.upper()
    else:
        names = " ".join([", ".join(one.opts), *([] if one.is_flag else [one.metavar or one.name.upper()])])
    required = " Required." if one.required else ""
    return f"| `{names.replace('|', chr(92) + '|')}` | {one.help or ''}{required} |\n"


def metrics_page(api_collector: Collector) -> str:
    text = METRICS_HEAD
    for title, metrics in declared(api_collector).items():
        text += f"\n## {title}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
        text += "".join(map(_metric, metrics))
    return text


def _metric(one: Declared) -> str:
    labels = ", ".join(f"`{name}`" for name in one.labels)
    return f"| `{one.name}` | {one.type} | {labels} | {one.meaning.rstrip('.')}. |\n"
