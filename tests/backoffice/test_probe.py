"""Health and metrics of the processes without pages."""

import asyncio
import socket
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry

from backoffice.address import AddressTakenError
from backoffice.loop_turns import LoopTurns
from backoffice.probe import STUCK_S, _Answers, probe
from backoffice.relay_report import RelayReport
from backoffice.tracing import Untraced
from backoffice.troubles import REPEAT_S, Troubles
from event_store.errors import LaneAhead, LogUnavailable
from event_store.outbox import ClaimedRow
from event_store.record import TopicPartition
from tests.servers.ports import free_port

LANE = TopicPartition("order-events", 3)


@pytest.fixture
def port() -> int:
    return free_port()


async def test_a_process_is_ready_until_something_keeps_it_from_its_work(port: int) -> None:
    registry = CollectorRegistry()
    report = RelayReport(registry, Untraced())
    async with (
        probe("127.0.0.1", port, registry, report.troubles, LoopTurns()),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        report.failed(LANE, LogUnavailable("the log is away"), 1.0)
        failed = await client.get("/readyz")
        assert failed.status_code == 503
        assert failed.json()["troubles"] == {"order-events/3": "the log is away"}
        assert (await client.get("/livez")).status_code == 200
        report.published(LANE, [ClaimedRow(1, "event", "key", b"{}")] * 7, 0.002)
        assert (await client.get("/readyz")).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert 'countinghouse_relay_published_total{topic="order-events"} 7.0' in metrics
        assert (await client.get("/other")).status_code == 404
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/livez")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_loop_that_no_longer_turns_is_neither_live_nor_ready(path: str) -> None:
    now = [0.0]
    turns = LoopTurns(lambda: now[0])
    turns.begin()
    now[0] += STUCK_S + 1
    answers = _Answers(CollectorRegistry(), Troubles(), turns)
    statuses: list[str] = []

    def start_response(status: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return statuses.append  # type: ignore[return-value]

    body = b"".join(answers({"PATH_INFO": path}, start_response))
    assert statuses == ["503 Service Unavailable"]
    assert b"has not turned for" in body


async def test_port_zero_answers_nobody() -> None:
    async with probe("127.0.0.1", 0, CollectorRegistry(), Troubles(), LoopTurns()):
        await asyncio.sleep(0)


async def test_a_taken_port_is_named(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(AddressTakenError, match=f"port {port}"):
            async with probe("127.0.0.1", port, CollectorRegistry(), Troubles(), LoopTurns()):
                pass


def test_a_failure_is_forgotten_when_no_further_one_came_and_a_stop_never_is() -> None:
    now = [0.0]
    troubles = Troubles(lambda: now[0])
    assert troubles.note("outbox", "busy", retry_in_s=5)
    assert not troubles.note("outbox", "busy", retry_in_s=5)
    assert troubles.note("lane", str(LaneAhead("an older copy")))
    now[0] = 5 + REPEAT_S - 1
    assert set(troubles.now()) == {"outbox", "lane"}
    now[0] = 5 + REPEAT_S + 1
    assert set(troubles.now()) == {"lane"}
    troubles.over("lane")
    assert troubles.now() == {}
