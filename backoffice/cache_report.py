"""What the cache did for this process, as metrics and log lines."""

from __future__ import annotations

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

log = structlog.get_logger()


class CacheReport:
    """A CacheObserver. One line when the cache breaks and one when it works again, however often it is asked."""

    def __init__(self, registry: CollectorRegistry, address: str) -> None:
        self._address = address
        self._requests = Counter(
            "countinghouse_cache_requests_total",
            "Answers asked of the cache, by outcome: hit, miss, stale, invalid, failed or bypassed.",
            ["outcome"],
            registry=registry,
        )
        self._writes = Counter(
            "countinghouse_cache_writes_total",
            "Answers given to the cache, by outcome: kept, older, failed, bypassed or dropped.",
            ["outcome"],
            registry=registry,
        )
        self._usable = Gauge(
            "countinghouse_cache_usable",
            "1 while the cache is used, 0 while it is broken and the database answers.",
            registry=registry,
        )
        self._usable.set(1)

    def asked(self, outcome: str) -> None:
        self._requests.labels(outcome).inc()

    def wrote(self, outcome: str) -> None:
        self._writes.labels(outcome).inc()

    def broke(self, why: str) -> None:
        self._usable.set(0)
        log.warning(
            "The cache can't be used; figures come from the database until it can. It is tried again by itself.",
            action="cache.broke",
            cache=self._address,
            error=why,
        )

    def mended(self) -> None:
        self._usable.set(1)
        log.info("The cache is used again.", action="cache.mended", cache=self._address)
