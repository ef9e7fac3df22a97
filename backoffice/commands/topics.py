"""`countinghouse topics`: how the log keeps its topics, and how one of them gets another number of partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from rich.table import Table

from backoffice.log_start import lost_history
from backoffice.settings import Settings
from backoffice.stores import Stores
from backoffice.topic_migration import TopicMigration
from backoffice.topic_versions import TopicVersion, topic_versions
from event_store.connect import file_of
from event_store.crash_points import CrashPoints
from event_store.errors import LogUnavailable, LogUnusable
from event_store.log import Bounds
from event_store.record import TopicPartition
from event_store.topic_plan import Difference, TopicState
from event_store.topics import PARTITIONS, partitions_of, versions


class PartitionShown(Struct, frozen=True):
    partition: int
    begin: int
    end: int


class TopicShown(Struct, frozen=True):
    name: str
    identity: str | None
    replication: int | None
    config: Mapping[str, str] | None
    partitions: list[PartitionShown]

    @property
    def records(self) -> int:
        return sum(one.end - one.begin for one in self.partitions)

    @property
    def without_zero(self) -> list[int]:
        """Partitions whose offset zero is gone from the log."""
        return [one.partition for one in self.partitions if one.begin]


class TopicsShown(Struct, frozen=True):
    topics: list[TopicShown]
    drift: list[str]


async def plan_topics(settings: Settings) -> Sequence[Difference]:
    async with _opened(settings) as stores:
        return await stores.topic_admin().differences(await _wanted(stores))


async def apply_topics(settings: Settings) -> tuple[Sequence[Difference], Sequence[Difference]]:
    """What was done, and what is left to be done by hand."""
    async with _opened(settings) as stores:
        (admin, wanted) = (stores.topic_admin(), await _wanted(stores))
        done = await admin.apply(wanted)
        return done, await admin.differences(wanted)


async def check_topics(settings: Settings) -> TopicsShown:
    async with _opened(settings) as stores:
        (admin, wanted) = (stores.topic_admin(), await _wanted(stores))
        drift = [str(one) for one in await admin.differences(wanted)]
        found = {name: one for name, one in (await admin.found()).items() if name in wanted}
        bounds = await stores.log().bounds(partitions_of({name: one.partitions for name, one in found.items()}))
        if not drift and _has_back_office(settings):
            drift = [str(why) for _, why in await lost_history(stores)]
        return TopicsShown([_shown(one, bounds) for _, one in sorted(found.items())], drift)


def topics_table(shown: TopicsShown) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("topic", "identity", "partitions", "replicas", "records", "offset zero"):
        table.add_column(title, overflow="fold")
    for one in shown.topics:
        zero = "there" if not one.without_zero else f"gone from {', '.join(map(str, one.without_zero))}"
        (identity, replicas) = (one.identity or "", "" if one.replication is None else str(one.replication))
        table.add_row(one.name, identity, str(len(one.partitions)), replicas, str(one.records), zero)
    return table


def topics_json(shown: TopicsShown) -> str:
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Stores]:
    """The stores; a log that is away is then a command that could not begin."""
    async with Stores(settings) as stores:
        try:
            yield stores
        except LogUnavailable as error:
            raise LogUnusable(str(error)) from error


async def _wanted(stores: Stores) -> Mapping[str, int]:
    """The topics, and what other versions of them the log has."""
    found = {name: one.partitions for name, one in (await stores.topic_admin().found()).items()}
    return {**versions(PARTITIONS, found), **PARTITIONS}


def _has_back_office(settings: Settings) -> bool:
    """Whether figures were ever counted: looking must not make a database for them."""
    file = file_of(settings.backoffice_db_url)
    return file is None or file.is_file()


def _shown(topic: TopicState, bounds: Mapping[TopicPartition, Bounds]) -> TopicShown:
    tps = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    partitions = [PartitionShown(tp.partition, bounds[tp].begin, bounds[tp].end) for tp in tps]
    return TopicShown(topic.name, topic.identity, topic.replication, topic.config, partitions)


async def topics_status(settings: Settings) -> Sequence[TopicVersion]:
    async with _opened(settings) as stores:
        (outbox, log, leases, read_model) = (stores.outbox(), stores.log(), stores.leases(), stores.read_model())
        return await topic_versions(PARTITIONS, outbox, log, leases, read_model)


def status_table(found: Sequence[TopicVersion]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("topic", "state", "partitions", "lanes", "unsent", "uncounted", "held by consumers"):
        table.add_column(title, overflow="fold")
    for one in found:
        counts = (one.partitions, one.lanes, one.unsent, one.uncounted, one.held)
        table.add_row(one.name, one.state.value, *map(str, counts))
    return table


def status_json(found: Sequence[TopicVersion]) -> str:
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


async def migrate_topic(
    settings: Settings, topic: str, partitions: int, patience_s: float, say: Callable[[str], None]
) -> None:
    async with Stores(settings, CrashPoints.from_environment()) as stores:
        migration = TopicMigration(
            topic,
            partitions,
            stores.topic_admin(),
            stores.outbox(),
            stores.log(),
            stores.leases(),
            stores.read_model(),
            say,
            patience_s,
            stores.crash_points,
        )
        await migration.run()
