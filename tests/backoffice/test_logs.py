"""Log lines say what happened, and stay few whatever happens."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from backoffice.log_limit import LIBRARIES, OURS, LineLimit
from backoffice.logs import configure_logs

Line = dict[str, object]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a process writes, as JSON, less what the test's own runner had set up."""
    (root, stream) = (logging.getLogger(), io.StringIO())
    (handlers, level) = (root.handlers[:], root.level)
    try:
        configure_logs("info", "json", "proof", stream)
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[Line]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_what_fails_ten_thousand_times_is_said_a_few_times(written: io.StringIO) -> None:
    log = structlog.get_logger("backoffice.relay_report")
    for number in range(10_000):
        log.warning(f"Request {number} failed.", action="request_failed")
    log.error("The record was moved aside.", action="relay.buried")
    said = lines(written)
    assert [line["action"] for line in said] == ["request_failed"] * OURS[0] + ["relay.buried"]


def test_a_library_that_floods_is_bounded_logger_by_logger(written: io.StringIO) -> None:
    for number in range(10_000):
        logging.getLogger("somewhere.client").warning("can't reach %s", number)
    logging.getLogger("somewhere.else").warning("this, too")
    assert [line["event"] for line in lines(written)] == [
        *(f"can't reach {number}" for number in range(LIBRARIES[0])),
        "this, too",
    ]


@pytest.mark.parametrize("name", ["aiokafka.conn", "httpx", "uvicorn.error"])
def test_what_we_report_ourselves_a_library_need_not_say(written: io.StringIO, name: str) -> None:
    logging.getLogger(name).info("connected")
    assert lines(written) == []


def record(message: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("backoffice.proof", level, __file__, 1, message, None, None)


def test_after_a_while_there_is_another_line_that_tells_how_many_were_left_out() -> None:
    now = [0.0]
    limit = LineLimit(lambda: now[0])
    passed = [limit.filter(record({"action": "proof"})) for _ in range(OURS[0] + 7)]
    assert passed == [True] * OURS[0] + [False] * 7
    now[0] = OURS[1]
    later = record({"action": "proof"})
    assert limit.filter(later)
    assert vars(later)["msg"] == {"action": "proof", "left_out": 7}
    assert not limit.filter(record({"action": "proof"}))


def test_a_librarys_line_tells_it_too() -> None:
    now = [0.0]
    limit = LineLimit(lambda: now[0])
    for _ in range(LIBRARIES[0] + 3):
        limit.filter(record("away"))
    now[0] = LIBRARIES[1]
    later = record("away")
    assert limit.filter(later)
    assert later.getMessage() == "away (3 lines before this one were left out.)"


def test_an_hour_of_failing_is_so_many_lines_and_no_more() -> None:
    now = [0.0]
    limit = LineLimit(lambda: now[0])
    passed = 0
    for _ in range(3600 * 20):
        now[0] += 0.05
        passed += limit.filter(record({"action": "proof"}))
    assert passed <= OURS[0] + 3600 / OURS[1] + 1


def test_debug_lines_are_all_written() -> None:
    limit = LineLimit(lambda: 0.0)
    assert all(limit.filter(record({"action": "proof"}, logging.DEBUG)) for _ in range(1000))
