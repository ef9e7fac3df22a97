"""A traced shop of real processes: a collector of traces gets one request's way through all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.faults.shop import Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PRODUCT = {"name": "Lantern", "price_minor": 250, "currency": "GBP"}


@dataclass
class Collector:
    """Takes OTLP over HTTP; service → its spans."""

    spans: dict[str, list[Any]] = field(default_factory=dict)
    port: int = 0

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
            for scope in resource.scope_spans:
                self.spans.setdefault(service, []).extend(scope.spans)

    def of_the_trace(self) -> dict[str, list[str]]:
        """Service → names of spans that are in the trace, or linked to it."""
        return {
            service: [one.name for one in spans if TRACE in (one.trace_id.hex(), *_linked(one))]
            for service, spans in self.spans.items()
        }


def _linked(span: Any) -> list[str]:
    return [link.trace_id.hex() for link in span.links]


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


async def test_a_request_leaves_its_trace_in_every_process_up_to_the_last_span(
    tmp_path: Path, collector: Collector
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    shop = Shop(tmp_path, settings)
    try:
        line = shop.start_line()
        await until(lambda: _listed(shop), *line)
        await shop.drained()
        assert collector.spans == {}
        assert [one.stop() for one in line] == [0, 0, 0]
    finally:
        shop.close()
    assert collector.of_the_trace() == {
        "countinghouse-api": ["PUT /v1/products/{product_id}"],
        "countinghouse-relay": ["send catalog-events"],
        "countinghouse-consumer": ["process catalog-events"],
    }
    assert shop.complaints() == []


async def _listed(shop: Shop) -> bool:
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    try:
        async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as client:
            return (await client.put("/v1/products/lantern", json=PRODUCT, headers=headers)).is_success
    except httpx.ConnectError:
        return False
