"""`make docs`: the pages of docs/ that are written from declarations, so that they can't say anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from typer.core import TyperGroup

from backoffice.commands.config import settings_page
from backoffice.consumer_report import ConsumerReport
from backoffice.metrics import PipelineCollector
from backoffice.pipeline import CompletenessStamp, LaneStatus, PartitionStatus, PipelineStatus
from backoffice.relay_report import RelayReport

COMMANDS_HEAD = """\
# Commands

Every command takes `--data DIR`, before its name or after it, or reads `COUNTINGHOUSE_DATA_DIR`; see
[settings](settings.md). Exit codes: 0 done; 1 it didn't work out, and standard error says why; 2 it could not begin:
an option, a setting, an address or a data folder in use. This page is written by `make docs`.
"""

METRICS_HEAD = """\
# Metrics

In Prometheus' text format. Labels are topics and partitions, never ids, so their number is bounded. This page is
written by `make docs`.
"""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    collectors: Mapping[str, Callable[[CollectorRegistry], object]] = {
        "Of the dashboard, at `/metrics`: the whole pipeline, read at each scrape": _register_pipeline,
        "Of the commerce API, at `/metrics`": lambda registry: registry.register(api_collector),
        "Of the relay, on the port `COUNTINGHOUSE_RELAY_PORT`": RelayReport,
        "Of the consumer, on the port `COUNTINGHOUSE_CONSUMER_PORT`": ConsumerReport,
    }
    text = METRICS_HEAD
    for title, register in collectors.items():
        registry = CollectorRegistry()
        register(registry)
        text += f"\n## {title}\n\n| metric | type | meaning |\n|---|---|---|\n"
        for family in registry.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            text += f"| `{name}` | {family.type} | {family.documentation.rstrip('.')}. |\n"
    return text


def _register_pipeline(registry: CollectorRegistry) -> None:
    """A pipeline that has counted something shows every metric there is."""
    lane = LaneStatus("orders", 0, "shop", 0, 0, 0, 0, 0, None, 0.0, 0, None, None)
    partition = PartitionStatus("orders", 0, 0, 0, 0, 0, 0.0, None, EPOCH, 0, 0, [], log_changed=False, stopped=None)
    stamp = CompletenessStamp("ok", EPOCH, 0, 0, 0, 0, 1)
    registry.register(PipelineCollector(PipelineStatus(EPOCH, stamp, [lane], [partition], [], [])))
