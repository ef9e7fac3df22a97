"""Log lines: one line each on standard error, a sentence for people and an `action` for machines.

    log = structlog.get_logger()
    log.info("The lane was sent.", action="relay.sent", topic="order-events", partition=3, rows=1000)

Libraries that use the standard library's logging come out in the same form. Passwords in URLs never do. However often
something fails, its lines are bounded (log_limit.py).
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from .log_limit import LineLimit
from .redaction import redacted

QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "aiokafka": logging.CRITICAL,  # A thousand lines a minute while a broker is away, which we report ourselves.
    "aiosqlite": logging.WARNING,
    "alembic": logging.WARNING,
    "uvicorn": logging.WARNING,
}
"""Libraries that write a line for every call or connection."""


def configure_logs(level: str, form: str, process: str, stream: TextIO | None = None) -> None:
    """Once, at the start of a process; `process` is its name in every line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _named(process),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                _renderer(form, handler.stream),
            ],
        )
    )
    handler.addFilter(LineLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quiet_level in QUIET.items():
        logging.getLogger(name).setLevel(max(quiet_level, root.level))
    logging.captureWarnings(capture=True)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Takes the passwords out of every text of the line, the trace-back included."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, int | float | None):
        return value
    return redacted(str(value))


def _named(process: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    return add


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # The console renderer would draw a trace-back itself, before the passwords are out of it: format_exc_info did.
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, timestamp_key="at", sort_keys=False
    )
