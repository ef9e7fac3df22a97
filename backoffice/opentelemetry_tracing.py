"""Spans in OpenTelemetry's terms, whose names for messaging are still in development: they stand in this file alone.

POST /v1/orders/{order_id}/payments    SERVER, of the API: the events that come of it carry its context
send order-events                      PRODUCER, of the relay: a child of that, one for each traced event
process order-events                   CONSUMER, of the consumer: one for each batch, linked to its traced events
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes

from event_store.outbox import ClaimedRow
from event_store.record import TopicPartition
from event_store.traceparent import MAX_TRACEPARENTS, traceparent_in

from .consumer_names import GROUP
from .version import program_version

if TYPE_CHECKING:
    from projections.projector import Applied

LAST_WORDS_S = 3.0
"""How long a process that ends waits for its last spans to be taken; a collector that is away costs no more."""
UNSEEN = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that monitoring asks for again and again."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"})


def exported(process: str, system: str) -> Spans:
    """Spans that go where the standard variables say, in batches, from a thread of their own. Raises ValueError."""
    provider = provider_for(process)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider, system)


def provider_for(process: str) -> TracerProvider:
    """`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_TRACES_SAMPLER` are read here, and come first."""
    told = Resource.create()
    if str(told.attributes[SERVICE_NAME]).startswith("unknown_service"):
        told = told.merge(Resource({SERVICE_NAME: f"countinghouse-{process}"}))
    provider = TracerProvider(
        resource=told.merge(Resource({SERVICE_VERSION: program_version()})), shutdown_on_exit=False
    )
    provider.sampler = AsTheirRequests(provider.sampler)
    return provider


class AsTheirRequests(Sampler):
    """Judges a span that has links and no parent as if it were a child of the first: the batch of a sampled event is

    sampled, though it begins a trace of its own.
    """

    def __init__(self, judge: Sampler) -> None:
        self._judge = judge

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if links and not parent_context:
            first = links[0].context
            (parent_context, trace_id) = (_context_of(first), first.trace_id)
        return self._judge.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"AsTheirRequests{{{self._judge.get_description()}}}"


class Spans:
    """A `Tracing`. Spans of what is already done are made with the times it began and ended."""

    is_on = True

    def __init__(self, provider: TracerProvider, system: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("countinghouse")
        self._system = system

    def served(self, app: Any) -> Any:
        return _Served(app, self._tracer)

    def sent(self, tp: TopicPartition, rows: Sequence[ClaimedRow], seconds: float) -> None:
        (begun_ns, ended_ns) = _times(seconds)
        found = ((row, parent) for row in rows if (parent := traceparent_in(row.payload)) is not None)
        for row, parent in islice(found, MAX_TRACEPARENTS):
            span = self._tracer.start_span(
                f"send {tp.topic}",
                context=_context_of(_span_context(parent)),
                kind=SpanKind.PRODUCER,
                attributes=self._messaging("send", tp, len(rows)) | {"messaging.message.id": row.event_id},
                start_time=begun_ns,
            )
            span.end(ended_ns)

    def counted(self, applied: Applied, seconds: float) -> None:
        """A batch without traced events has nobody who would look for it."""
        if not applied.traceparents:
            return
        (begun_ns, ended_ns) = _times(seconds)
        attributes = self._messaging("process", applied.tp, applied.records)
        span = self._tracer.start_span(
            f"process {applied.tp.topic}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes | {"messaging.consumer.group.name": GROUP},
            links=[Link(_span_context(one)) for one in applied.traceparents],
            start_time=begun_ns,
        )
        span.end(ended_ns)

    def close(self) -> None:
        ending = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        ending.start()
        ending.join(LAST_WORDS_S)

    def _messaging(self, operation: str, tp: TopicPartition, records: int) -> dict[str, str | int]:
        return {
            "messaging.system": self._system,
            "messaging.destination.name": tp.topic,
            "messaging.destination.partition.id": str(tp.partition),
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.batch.message_count": records,
        }


class _Served:
    """An ASGI application behind a span for each request, in whose name the request goes on."""

    def __init__(self, app: Any, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in UNSEEN:
            await self._app(scope, receive, send)
            return
        span = self._begun(scope)
        status = 500

        async def noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        ours = _in_the_name_of(span, scope)
        try:
            await self._app(ours, receive, noting)
        finally:
            _end(span, ours, status)

    def _begun(self, scope: Any) -> Span:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = _method(scope)
        attributes = {"http.request.method": method, "url.path": scope["path"], "url.scheme": scope["scheme"]}
        return self._tracer.start_span(method, context=extract(headers), kind=SpanKind.SERVER, attributes=attributes)


def _in_the_name_of(span: Span, scope: Any) -> dict[str, Any]:
    """The scope with the span's context in place of the one that came."""
    context = span.get_span_context()
    traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    headers = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]
    return {**scope, "headers": [*headers, (b"traceparent", traceparent.encode())]}


def _end(span: Span, scope: Mapping[str, Any], status: int) -> None:
    template = scope.get("path_template")
    if template:
        route = str(template).replace(":str}", "}")
        span.update_name(f"{_method(scope)} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)
    span.end()


def _method(scope: Mapping[str, Any]) -> str:
    """Clients may call their methods anything."""
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _span_context(traceparent: str) -> SpanContext:
    (_, trace_id, span_id, flags) = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _context_of(span: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(span), Context())


def _times(seconds: float) -> tuple[int, int]:
    """Begin and end of what has just ended, in nanoseconds since 1970."""
    ended_ns = time.time_ns()
    return ended_ns - int(seconds * 1e9), ended_ns
