"""What every process says of itself at `/metrics`, beside what it does."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .version import program_version


def process_registry(data_dir: Path, *collectors: Collector) -> CollectorRegistry:
    """A registry for one process, with `process_…` as Prometheus' client has it: processor, memory, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for one in (ProgramCollector(data_dir), *collectors):
        registry.register(one)
    return registry


class ProgramCollector(Collector):
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def collect(self) -> Iterable[Metric]:
        version = GaugeMetricFamily("countinghouse_build_info", "The program's version.", labels=["version"])
        version.add_metric([program_version()], 1)
        yield version
        with suppress(OSError):  # Nobody has made the folder yet.
            free_bytes = shutil.disk_usage(self._data_dir).free
            yield GaugeMetricFamily("countinghouse_data_free_bytes", "Room left where the data folder is.", free_bytes)
