"""The one place where the scheme of a URL chooses a back end of the event store."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from .crash_points import NO_CRASH, CrashPoints
from .kafka_options import ONE_BROKER, KafkaOptions, KafkaSecurity
from .lease import Leases
from .log import Log
from .log_copy import LogCopy
from .outbox import Outbox
from .postgres_address import POSTGRES, POSTGRES_FORM, check_postgres, is_postgres
from .revisions import AUDIT, PAUSES, TOKENS, Applied, Revisions
from .steps import Transactions
from .this_machine import is_this_machine
from .topic_plan import TopicAdmin

if TYPE_CHECKING:
    from .kafka_cluster import KafkaCluster

KAFKA = "kafka:"
_FORMS = {
    "sqlite": "sqlite:///path/to/file.db",
    "sqlite+aiosqlite": "sqlite+aiosqlite:///path/to/file.db",
    "kafka": "kafka://host:port",
    POSTGRES: POSTGRES_FORM,
}
_BROKER = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


def open_log(url: str, crash_points: CrashPoints = NO_CRASH, kafka: KafkaOptions = ONE_BROKER) -> Log:
    """`sqlite:///path`, or Kafka as `kafka_address` has it. Raises ValueError for another scheme.

    `kafka` is for Kafka only.
    """
    if url.startswith(KAFKA):
        from .kafka_log import KafkaLog

        return KafkaLog(_cluster(url, kafka))
    from .sqlite_log import SqliteLog

    return SqliteLog(sqlite_path(url, "sqlite"), crash_points)


def open_topic_admin(url: str, log: Callable[[], Log], kafka: KafkaOptions = ONE_BROKER) -> TopicAdmin:
    """The administrator of the topics of the log at `url`, which `log` opens where it is needed for that."""
    if url.startswith(KAFKA):
        from .kafka_topics import KafkaTopics

        return KafkaTopics(_cluster(url, kafka))
    from .embedded_topics import EmbeddedTopics

    return EmbeddedTopics(log())


def _cluster(url: str, kafka: KafkaOptions) -> KafkaCluster:
    from .kafka_cluster import KafkaCluster

    check_way_to_kafka(url, kafka.security)
    return KafkaCluster(*kafka_address(url), kafka.replication, kafka.min_insync, kafka.security, kafka.fast_fetch)


def open_copy(url: str, kafka: KafkaOptions = ONE_BROKER) -> LogCopy:
    """A log to be filled with the records of another: Kafka, as for `open_log`."""
    from .kafka_copy import KafkaCopy

    return KafkaCopy(_cluster(url, kafka))


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


def open_shared(url: str) -> Transactions:
    """The audit, the tokens and the pauses of a database; its address as for `open_outbox`."""
    from . import audit_tables, pauses, tokens

    return open_transactions(url, {AUDIT: audit_tables.SQLITE, TOKENS: tokens.SQLITE, PAUSES: pauses.SQLITE})


def open_pauses(url: str) -> Transactions:
    """The pauses of a database, for who obeys them; its address as for `open_outbox`."""
    from . import pauses

    return open_transactions(url, {PAUSES: pauses.SQLITE})


def open_transactions(url: str, tables: Mapping[Revisions, str]) -> Transactions:
    """Steps on a database; its address as for `open_outbox`. A file's `tables` are made where they are missing."""
    if is_postgres(url):
        from .postgres_transactions import PostgresTransactions

        return PostgresTransactions(url)
    from .sqlite_transactions import SqliteTransactions

    return SqliteTransactions(sqlite_path(url, "sqlite+aiosqlite"), tables)


async def revisions_of(url: str, sets: Sequence[Revisions]) -> Mapping[str, str | None]:
    """Of a database; its address as for `open_outbox`. Name of the set → its revision, None where it has none."""
    if is_postgres(url):
        from . import postgres_schema

        return await postgres_schema.revisions_of(url, sets)
    from . import sqlite_schema

    path = sqlite_path(url, "sqlite+aiosqlite")
    return {one.name: sqlite_schema.revision_of(path, one) for one in sets}


async def migrate(url: str, sets: Sequence[Revisions]) -> Sequence[Applied]:
    """Brings a database, all of whose sets are named, to their newest revisions, and says which were applied."""
    from . import alembic_migration

    if is_postgres(url):
        return await alembic_migration.migrate_postgres(url, sets)
    return alembic_migration.migrate_sqlite(sqlite_path(url, "sqlite+aiosqlite"), sets, are_all=True)


def check_url(url: str, schemes: Sequence[str], *, plain_text: bool = False) -> None:
    """Raises ValueError unless the address is a good one of one of these kinds.

    `plain_text` says that a database on another machine may be spoken to without encryption.
    """
    scheme = urlsplit(url).scheme
    if scheme in schemes and scheme == "kafka":
        kafka_address(url)
        return
    if scheme in schemes and scheme == POSTGRES:
        check_postgres(url, plain_text=plain_text)
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

    Raises ValueError for anything else.
    """
    parts = urlsplit(url)
    if parts.scheme != "kafka" or parts.query or parts.fragment or not all(map(_BROKER.fullmatch, _brokers(url))):
        raise ValueError("must be an address of Kafka: use kafka://host:port or kafka://host:port,host:port/prefix")
    return parts.netloc, unquote(parts.path[1:])


def check_way_to_kafka(url: str, security: KafkaSecurity) -> None:
    """Raises ValueError where plain text would leave this machine and nobody said that it may."""
    away = [one for one in _brokers(url) if not is_this_machine(one.rpartition(":")[0])]
    if away and not security.may_leave:
        raise ValueError(
            f"names {away[0]}, and what is sent would be plain text: set COUNTINGHOUSE_KAFKA_SECURITY=sasl_ssl or ssl; "
            "or, where the network is trusted, COUNTINGHOUSE_ALLOW_PLAINTEXT=true"
        )


def _brokers(url: str) -> list[str]:
    return urlsplit(url).netloc.split(",")


def sqlite_path(url: str, scheme: str) -> Path:
    """The file of a SQLite URL: `scheme:///relative` or `scheme:////absolute`."""
    parts = urlsplit(url)
    if parts.scheme != scheme or parts.netloc or len(parts.path) < 2:
        raise ValueError(f"{url!r} is no address this version can open; use {scheme}:///path/to/file.db")
    return Path(unquote(parts.path[1:]))
