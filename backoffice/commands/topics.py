"""`countinghouse topics plan | apply | check`: how topics are to be kept, and how they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from rich.table import Table

from backoffice.log_start import lost_history
from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.connect import file_of
from event_store.errors import LogUnavailable, LogUnusable
from event_store.log import Bounds
from event_store.record import TopicPartition
from event_store.topic_plan import Difference, TopicState
from event_store.topics import PARTITIONS


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
        return await stores.topic_admin().differences(PARTITIONS)


async def apply_topics(settings: Settings) -> tuple[Sequence[Difference], Sequence[Difference]]:
    """What was done, and what is left to be done by hand."""
    async with _opened(settings) as stores:
        admin = stores.topic_admin()
        done = await admin.apply(PARTITIONS)
        return done, await admin.differences(PARTITIONS)


async def check_topics(settings: Settings) -> TopicsShown:
    async with _opened(settings) as stores:
        admin = stores.topic_admin()
        drift = [str(one) for one in await admin.differences(PARTITIONS)]
        found = {name: one for name, one in (await admin.found()).items() if name in PARTITIONS}
        bounds = await stores.log().bounds(
            [TopicPartition(name, number) for name, one in found.items() for number in range(one.partitions)]
        )
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


def _has_back_office(settings: Settings) -> bool:
    """Whether figures were ever counted: looking must not make a database for them."""
    file = file_of(settings.backoffice_db_url)
    return file is None or file.is_file()


def _shown(topic: TopicState, bounds: Mapping[TopicPartition, Bounds]) -> TopicShown:
    tps = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    partitions = [PartitionShown(tp.partition, bounds[tp].begin, bounds[tp].end) for tp in tps]
    return TopicShown(topic.name, topic.identity, topic.replication, topic.config, partitions)
