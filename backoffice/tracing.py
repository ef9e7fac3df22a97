"""Tracing: following one request through API, relay and consumer, where an operator asks for it.

The standard variables of OpenTelemetry say whether and how (docs/observability.md). Spans need the extra
`countinghouse[otel]`; without it, and wherever nobody asked, nothing is imported and nothing is done per event.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from event_store.outbox import ClaimedRow
from event_store.record import TopicPartition

if TYPE_CHECKING:
    from projections.projector import Applied

log = structlog.get_logger()

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Who sets one of them wants traces."""
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
NEEDED = "opentelemetry.exporter.otlp.proto.http"


class Tracing(Protocol):
    """Hears what a process did, and makes spans of it."""

    @property
    def is_on(self) -> bool: ...

    def served(self, app: Any) -> Any:
        """The ASGI application with a span for each of its requests."""
        ...

    def sent(self, tp: TopicPartition, rows: Sequence[ClaimedRow], seconds: float) -> None:
        """The log just acknowledged `rows`, which took so long."""
        ...

    def counted(self, applied: Applied, seconds: float) -> None:
        """A batch was just committed, which took so long."""
        ...

    def close(self) -> None:
        """The process ends: sends what is left, if that can be done in a moment."""
        ...


class Untraced:
    """Nobody asked."""

    is_on = False

    def served(self, app: Any) -> Any:
        return app

    def sent(self, *_: object) -> None: ...

    def counted(self, *_: object) -> None: ...

    def close(self) -> None: ...


@contextmanager
def tracing(process: str, log_url: str, environment: Mapping[str, str]) -> Iterator[Tracing]:
    """For as long as `process` runs. What stands in the way of tracing is said, and stands in nothing else's way."""
    opened: Tracing = Untraced()
    if _is_wanted(environment):
        try:
            opened = _spans(process, log_url, environment)
        except ValueError as error:
            log.warning(f"There will be no traces: {error}", action="tracing.off")
    try:
        yield opened
    finally:
        opened.close()


def _spans(process: str, log_url: str, environment: Mapping[str, str]) -> Tracing:
    """Raises ValueError where something is in the way: OpenTelemetry itself reads its variables here."""
    hindrance = _hindrance(environment)
    if hindrance is not None:
        raise ValueError(hindrance)
    from .opentelemetry_tracing import exported

    return exported(process, "kafka" if log_url.startswith("kafka:") else "countinghouse")


def _is_wanted(environment: Mapping[str, str]) -> bool:
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    nowhere = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return not disabled and not nowhere and any(environment.get(name) for name in ENDPOINTS)


def _hindrance(environment: Mapping[str, str]) -> str | None:
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter != "otlp":
        return f"OTEL_TRACES_EXPORTER is {exporter!r}; it may be otlp or none."
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        return f"the protocol of OTLP is set to {protocol!r}; we speak http/protobuf, mostly on port 4318."
    if not _is_installed(NEEDED):
        return "an endpoint for them is set, but OpenTelemetry isn't installed: pip install 'countinghouse[otel]'"
    return None


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # The package that it would lie in.
        return False
