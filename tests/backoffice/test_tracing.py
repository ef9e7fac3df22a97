"""Where an operator asks for traces, one request can be followed from the API through the relay to its batch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from backoffice.consumer_report import ConsumerReport
from backoffice.opentelemetry_tracing import Spans, provider_for
from backoffice.relay_report import RelayReport
from backoffice.tracing import Untraced, tracing
from event_store.codec import Codec
from event_store.memory_log import MemoryLog
from event_store.outbox import ClaimedRow
from event_store.record import TopicPartition
from event_store.relay import Relay, RelaySettings
from event_store.sqlite_outbox import SqliteOutbox
from event_store.topics import TOPICS
from event_store.traceparent import MAX_TRACEPARENTS
from producer_api.app import create_app
from producer_api.sqlite_commerce import SqliteCommerce
from projections.catalogue import PROJECTIONS
from projections.memory_read_model import MemoryReadModel
from projections.projector import Applied, Projector

PARTITIONS = {topic.name: topic.partitions for topic in TOPICS}
TP = TopicPartition("order-events", 3)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


class Traces:
    """The spans of all processes, as a collector would get them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()

    def of(self, process: str) -> Spans:
        provider = provider_for(process)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        return Spans(provider, "countinghouse")

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture(autouse=True)
def _nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
async def commerce(tmp_path: Path) -> AsyncIterator[SqliteCommerce]:
    opened = SqliteCommerce(tmp_path / "commerce.db", PARTITIONS)
    await opened.prepare()
    yield opened
    await opened.close()


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://shop")


def row(traceparent: str | None = PARENT) -> ClaimedRow:
    attribute = f'"traceparent":"{traceparent}",' if traceparent else ""
    return ClaimedRow(1, "event-1", "key", b'{%b"data":{}}' % attribute.encode())


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def span_id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


async def relayed(tmp_path: Path, spans: Spans) -> MemoryLog:
    log = MemoryLog(lambda: 1_900_000_000_000_000)
    for topic, partitions in PARTITIONS.items():
        await log.create_topic(topic, partitions)
    outbox = SqliteOutbox(tmp_path / "commerce.db", PARTITIONS)
    try:
        report = RelayReport(CollectorRegistry(), spans)
        assert await Relay(outbox, log, Codec(), RelaySettings("relay"), report).pass_once() > 0
    finally:
        await outbox.close()
    return log


async def counted(log: MemoryLog, spans: Spans) -> None:
    read_model = MemoryReadModel(lambda: 1_900_000_000_000_000)
    projector = Projector(read_model, await read_model.serving(), True, PROJECTIONS, Codec(notes_traces=True))
    report = ConsumerReport(CollectorRegistry(), spans)
    for topic, partitions in PARTITIONS.items():
        for number in range(partitions):
            batch = await log.read(TopicPartition(topic, number), 0)
            if len(batch):
                report.counted(await projector.apply(batch), 0.01)


async def test_one_request_can_be_followed_from_the_api_to_the_batch_that_counted_it(
    tmp_path: Path, commerce: SqliteCommerce, traces: Traces
) -> None:
    async with client_of(traces.of("api").served(create_app(commerce))) as client:
        body = {"name": "Heart", "price_minor": 255, "currency": "GBP"}
        answer = await client.put("/v1/products/85123A", json=body, headers={"traceparent": PARENT})
    assert answer.status_code == 201
    await counted(await relayed(tmp_path, traces.of("relay")), traces.of("consumer"))
    request = traces.named("PUT /v1/products/{product_id}")
    sent = traces.named("send catalog-events")
    batch = traces.named("process catalog-events")
    assert (request.kind, sent.kind, batch.kind) == (SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert trace_of(request) == trace_of(sent) == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert sent.parent is not None
    assert sent.parent.span_id == span_id_of(request)
    assert batch.parent is None
    assert trace_of(batch) != TRACE
    assert [link.context.span_id for link in batch.links] == [span_id_of(request)]
    assert [span.resource.attributes["service.name"] for span in (request, sent, batch)] == [
        "countinghouse-api",
        "countinghouse-relay",
        "countinghouse-consumer",
    ]


async def test_a_request_without_a_context_begins_a_trace_and_its_events_carry_it(
    tmp_path: Path, commerce: SqliteCommerce, traces: Traces
) -> None:
    async with client_of(traces.of("api").served(create_app(commerce))) as client:
        await client.put("/v1/products/1", json={"name": "Heart", "price_minor": 255, "currency": "GBP"})
    await relayed(tmp_path, traces.of("relay"))
    request = traces.named("PUT /v1/products/{product_id}")
    assert request.parent is None
    assert trace_of(traces.named("send catalog-events")) == trace_of(request)


async def test_a_servers_span_says_what_was_asked_and_answered(commerce: SqliteCommerce, traces: Traces) -> None:
    async with client_of(traces.of("api").served(create_app(commerce))) as client:
        await client.get("/v1/orders/no-such-order")
        await client.get("/nowhere/a/b")
        await client.get("/livez")
        await client.get("/metrics")
    (asked, lost) = traces.spans
    assert dict(asked.attributes or {}) == {
        "http.request.method": "GET",
        "url.path": "/v1/orders/no-such-order",
        "url.scheme": "http",
        "http.route": "/v1/orders/{order_id}",
        "http.response.status_code": 404,
    }
    assert (asked.name, asked.status.status_code) == ("GET /v1/orders/{order_id}", StatusCode.UNSET)
    assert lost.name == "GET"


async def test_a_request_that_fails_is_an_error_in_its_span(traces: Traces) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("no")

    async with client_of(traces.of("api").served(failing)) as client:
        await client.request("BREW", "/pot")
    (span,) = traces.spans
    assert (span.name, span.status.status_code) == ("_OTHER", StatusCode.ERROR)
    assert span.end_time is not None


@pytest.mark.parametrize("header", ["00-1-2-03", "", "caf\xe9", f"{PARENT}-x" * 100])
async def test_a_malformed_context_begins_a_trace_of_its_own(
    commerce: SqliteCommerce, traces: Traces, header: str
) -> None:
    async with client_of(traces.of("api").served(create_app(commerce))) as client:
        answer = await client.get("/v1/products", headers={b"traceparent": header.encode("latin-1")})
    assert answer.status_code == 200
    assert trace_of(traces.named("GET /v1/products")) != TRACE


def test_every_traced_event_of_a_pass_has_a_span_and_no_other_has(traces: Traces) -> None:
    rows = [row(), row(None), row(UNSAMPLED), row("00-1-2-03"), row()]
    traces.of("relay").sent(TP, rows, 0.25)
    assert [span.name for span in traces.spans] == ["send order-events"] * 2
    span = traces.spans[0]
    assert dict(span.attributes or {}) == {
        "messaging.system": "countinghouse",
        "messaging.destination.name": "order-events",
        "messaging.destination.partition.id": "3",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 5,
        "messaging.message.id": "event-1",
    }
    assert (span.end_time or 0) - (span.start_time or 0) == 250_000_000


def test_a_batch_is_linked_to_its_traced_events_and_has_no_span_without_any(traces: Traces) -> None:
    spans = traces.of("consumer")
    spans.counted(Applied(TP, 10, 10, 0, 0), 0.1)
    assert not traces.spans
    spans.counted(Applied(TP, 20, 10, 0, 0, traceparents=[PARENT, PARENT]), 0.1)
    (span,) = traces.spans
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE, TRACE]
    assert dict(span.attributes or {})["messaging.consumer.group.name"] == "countinghouse.metrics"
    assert dict(span.attributes or {})["messaging.batch.message_count"] == 10


def test_a_pass_makes_so_many_spans_and_no_more(traces: Traces) -> None:
    traces.of("relay").sent(TP, [row()] * (MAX_TRACEPARENTS + 50), 0.1)
    assert len(traces.spans) == MAX_TRACEPARENTS


@pytest.mark.parametrize(
    ("sampler", "spans"), [("parentbased_traceidratio", 1), ("traceidratio", 0), ("always_off", 0)]
)
def test_a_batch_is_sampled_as_its_first_event_was(
    monkeypatch: pytest.MonkeyPatch, traces: Traces, sampler: str, spans: int
) -> None:
    """A share of nothing: only a parent could have it sampled."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    consumer = traces.of("consumer")
    consumer.counted(Applied(TP, 20, 10, 0, 0, traceparents=[PARENT]), 0.1)
    assert len(traces.spans) == spans


def test_the_standard_variables_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "till")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=proof")
    attributes = provider_for("api").resource.attributes
    assert (attributes["service.name"], attributes["deployment.environment.name"]) == ("till", "proof")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "shop"},
    ],
)
def test_where_nobody_asks_there_is_no_tracing_and_no_word_of_it(environment: dict[str, str]) -> None:
    app = object()
    with capture_logs() as lines, tracing("api", "sqlite:///log.db", environment) as found:
        assert isinstance(found, Untraced)
        assert found.served(app) is app
        assert not found.is_on
    assert lines == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is 'zipkin'; it may be otlp or none."),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "we speak http/protobuf"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_process_runs_without(more: dict[str, str], words: str) -> None:
    with capture_logs() as lines, tracing("api", "sqlite:///log.db", {**ENDPOINT, **more}) as found:
        assert isinstance(found, Untraced)
    assert len(lines) == 1
    assert words in lines[0]["event"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_BSP_MAX_QUEUE_SIZE", "-1"), ("OTEL_SPAN_LINK_COUNT_LIMIT", "many")],
)
def test_a_variable_that_opentelemetry_refuses_costs_the_traces_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with capture_logs() as lines, tracing("api", "sqlite:///log.db", ENDPOINT) as found:
        assert isinstance(found, Untraced)
    assert "There will be no traces: " in lines[0]["event"]


def test_without_the_extra_an_endpoint_is_answered_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoffice.tracing.NEEDED", "opentelemetry_that_is_not_there.exporter")
    with capture_logs() as lines, tracing("api", "sqlite:///log.db", ENDPOINT) as found:
        assert isinstance(found, Untraced)
    assert "pip install 'countinghouse[otel]'" in lines[0]["event"]


def test_with_an_endpoint_spans_are_on_and_an_absent_collector_costs_no_more_than_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT["OTEL_EXPORTER_OTLP_ENDPOINT"])
    with tracing("relay", "kafka://127.0.0.1:9092", os.environ) as found:
        assert found.is_on
        found.sent(TP, [row()], 0.1)


def test_a_process_that_is_not_traced_loads_nothing_of_it() -> None:
    program = (
        "import sys, backoffice.commands.relay, backoffice.commands.consumer, backoffice.tracing as t\n"
        "with t.tracing('relay', 'sqlite:///log.db', {}): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
