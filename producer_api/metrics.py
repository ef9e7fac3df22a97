"""Prometheus metrics of the API, in a registry of their own.

Requests are counted in plain numbers, a fraction of a microsecond each, and told to Prometheus at each scrape.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from .backpressure import Backpressure

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


@dataclass(slots=True)
class Tally:
    """How often which size came."""

    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus wants them: each holds those below it."""
        below = 0
        buckets = []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            below += count
            buckets.append((bound, float(below)))
        return buckets


@dataclass(slots=True)
class ApiMeter:
    """What the API counts of itself."""

    requests: dict[tuple[str, str, int], Tally] = field(default_factory=dict)
    """(method, route, status) → seconds."""
    group_sizes: Tally = field(default_factory=lambda: Tally(SIZES))
    group_seconds: Tally = field(default_factory=lambda: Tally(SECONDS))

    def committed(self, size: int, seconds: float) -> None:
        """One group of `size` requests took `seconds` for its transaction."""
        self.group_sizes.add(size)
        self.group_seconds.add(seconds)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        tally = self.requests.get(key)
        if tally is None:
            tally = self.requests[key] = Tally(SECONDS)
        tally.add(seconds)


class MeteredLitestar(Litestar):
    """Counts every request at the application's door, where it costs a third of a middleware of the framework's."""

    def __init__(self, meter: ApiMeter, **configuration: Any) -> None:
        super().__init__(**configuration)
        self._meter = meter

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        begun_s = time.perf_counter()
        status = 500

        async def noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await super().__call__(scope, receive, noting)
        finally:
            route = scope.get("path_template") or "unmatched"
            self._meter.request(scope["method"], route, status, time.perf_counter() - begun_s)


class ApiCollector(Collector):
    def __init__(self, meter: ApiMeter, pressure: Backpressure) -> None:
        self._meter = meter
        self._pressure = pressure

    def collect(self) -> Iterable[Metric]:
        requests = HistogramMetricFamily(
            "countinghouse_api_request_duration_seconds",
            "Requests, from their head to the end of the answer",
            labels=["method", "route", "status"],
        )
        for (method, route, status), tally in list(self._meter.requests.items()):
            requests.add_metric([method, route, str(status)], tally.buckets(), tally.total)
        yield requests
        sizes = self._meter.group_sizes
        yield HistogramMetricFamily(
            "countinghouse_api_group_commit_requests",
            "Requests that shared one transaction",
            sizes.buckets(),
            sizes.total,
        )
        seconds = self._meter.group_seconds
        yield HistogramMetricFamily(
            "countinghouse_api_group_commit_duration_seconds",
            "Transactions, from hand-over to commit",
            seconds.buckets(),
            seconds.total,
        )
        backlog = self._pressure.backlog
        yield GaugeMetricFamily("countinghouse_api_outbox_pending", "Events not yet in the log", backlog.rows)
        yield GaugeMetricFamily(
            "countinghouse_api_outbox_oldest_pending_seconds", "Age of the oldest of them", backlog.oldest_s
        )


def route(meter: ApiMeter, pressure: Backpressure, registry: CollectorRegistry) -> HTTPRouteHandler:
    registry.register(ApiCollector(meter, pressure))

    @get("/metrics", include_in_schema=False)
    async def metrics() -> Response[bytes]:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return metrics
