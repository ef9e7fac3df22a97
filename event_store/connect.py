"""The one place where the scheme of a URL chooses a back end of the event store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .crash_points import NO_CRASH, CrashPoints
from .lease import Leases
from .log import Log
from .outbox import Outbox
from .postgres_address import POSTGRES, POSTGRES_FORM, check_postgres, is_postgres

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_FORMS = {
    "sqlite": "sqlite:///path/to/file.db",
    "sqlite+aiosqlite": "sqlite+aiosqlite:///path/to/file.db",
    "kafka": "kafka://host:port",
    POSTGRES: POSTGRES_FORM,
}
_BROKER = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def open_log(url: str, crash_points: CrashPoints = NO_CRASH) -> Log:
    """`sqlite:///path`, or Kafka as `kafka_address` has it. Raises ValueError for another scheme."""
    if url.startswith("kafka:"):
        from .kafka_cluster import KafkaCluster
        from .kafka_log import KafkaLog

        return KafkaLog(KafkaCluster(*kafka_address(url)))
    from .sqlite_log import SqliteLog

    return SqliteLog(sqlite_path(url, "sqlite"), crash_points)


def open_outbox(url: str, topics: Mapping[str, int], crash_points: CrashPoints = NO_CRASH) -> Outbox:
    """The commerce database: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://user:password@host:port/name`.

    `topics` are the lanes it has.
    """
    if is_postgres(url):
        from .postgres_outbox import PostgresOutbox

        return PostgresOutbox(url, topics, crash_points)
    from .sqlite_outbox import SqliteOutbox

    return SqliteOutbox(sqlite_path(url, "sqlite+aiosqlite"), topics, crash_points)


def open_leases(url: str) -> Leases:
    """The leases of a database; its address as for `open_outbox`."""
    if is_postgres(url):
        from .postgres_leases import PostgresLeases

        return PostgresLeases(url)
    from .sqlite_leases import SqliteLeases

    return SqliteLeases(sqlite_path(url, "sqlite+aiosqlite"))


def check_url(url: str, schemes: Sequence[str]) -> None:
    """Raises ValueError unless the address is a good one of one of these kinds."""
    scheme = urlsplit(url).scheme
    server = {"kafka": kafka_address, POSTGRES: check_postgres}.get(scheme)
    if server is not None and scheme in schemes:
        server(url)
        return
    try:
        sqlite_path(url, schemes[0])
    except ValueError:
        kinds = " or ".join(_FORMS[one] for one in schemes)
        raise ValueError(f"must be {kinds}, the only kinds this version can open") from None


def file_of(url: str) -> Path | None:
    """The file behind an address; None where a server keeps what it names."""
    scheme = urlsplit(url).scheme
    return sqlite_path(url, scheme) if scheme.startswith("sqlite") else None


def kafka_address(url: str) -> tuple[str, str]:
    """The brokers and the prefix of `kafka://host:port,host:port/prefix`; the prefix may be missing.

    Raises ValueError for anything else, and for a broker on another machine: what is sent would be plain text.
    """
    parts = urlsplit(url)
    brokers = parts.netloc.split(",")
    if parts.scheme != "kafka" or parts.query or parts.fragment or not all(map(_BROKER.fullmatch, brokers)):
        raise ValueError("must be an address of Kafka: use kafka://host:port or kafka://host:port,host:port/prefix")
    away = [one for one in brokers if one.rpartition(":")[0] not in LOOPBACK]
    if away:
        raise ValueError(f"names {away[0]}; this version speaks to Kafka in plain text, and so to this machine alone")
    return parts.netloc, unquote(parts.path[1:])


def sqlite_path(url: str, scheme: str) -> Path:
    """The file of a SQLite URL: `scheme:///relative` or `scheme:////absolute`."""
    parts = urlsplit(url)
    if parts.scheme != scheme or parts.netloc or len(parts.path) < 2:
        raise ValueError(f"{url!r} is no address this version can open; use {scheme}:///path/to/file.db")
    return Path(unquote(parts.path[1:]))
