"""The topics of a Kafka cluster: made, compared with how they are to be kept, and put right.

Ours keep everything: no retention, no compaction, no transactions, and the log's own time of each record.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NodeNotReadyError, NotControllerError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest

from .errors import LogUnavailable, LogUnusable, TopicMismatch
from .kafka_cluster import TIMEOUT_S, KafkaCluster
from .kafka_messages import TOPIC_RESOURCE, ChangeConfigsRequest, TopicsRequest
from .topic_plan import Difference, TopicState, missing_or_other

KEPT = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
    "unclean.leader.election.enable": "false",
}
"""Settings that every topic of ours has."""
MAX_MESSAGE_BYTES = 1_048_588
"""The least that a topic must take at once: Kafka's own default, and more than any batch of ours."""
APPEARS_WITHIN_S = 10.0
"""How long what was changed may take until every broker knows it."""
LOOK_AGAIN_S = 0.05


class _Client(AIOKafkaClient):  # type: ignore[misc]
    """Sends requests of any kind; started and stopped as aiokafka's other clients are."""

    async def start(self) -> None:
        await self.bootstrap()

    async def to_any(self, request: Any) -> Any:
        """Brokers that are away are passed over."""
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        for node in random.sample(nodes, len(nodes)):
            if await self.ready(node):
                return await self.send(node, request)
        raise NodeNotReadyError(f"none of the brokers {nodes} is there")

    async def to_controller(self, request: Any) -> Any:
        if self.cluster.controller is None:
            await self.force_metadata_update()
        controller = self.cluster.controller
        return await (self.to_any(request) if controller is None else self.send(controller.nodeId, request))


class KafkaTopics:
    """A TopicAdmin."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._client = cluster.client(lambda: _Client(**cluster.options))

    async def partitions(self) -> dict[str, int]:
        """Topic → its number of partitions."""
        return {one.name: one.partitions for one in await self._described()}

    async def create(self, topic: str, partitions: int) -> None:
        """Makes it where it is missing, and returns when it can be used. Raises TopicMismatch for other partitions."""
        existing = (await self.partitions()).get(topic)
        if existing is None:
            await self._create(topic, partitions)
            existing = await self._appeared(topic)
        if existing != partitions:
            raise TopicMismatch(str(*missing_or_other({topic: partitions}, {topic: existing})))

    async def found(self) -> Mapping[str, TopicState]:
        described = await self._described()
        configs = await self._configs([one.name for one in described])
        return {
            one.name: TopicState(one.name, one.partitions, one.identity, one.replication, configs[one.name])
            for one in described
            if one.name in configs
        }

    async def differences(self, wanted: Mapping[str, int]) -> Sequence[Difference]:
        found = await self.found()
        differences = missing_or_other(wanted, {name: one.partitions for name, one in found.items()})
        for topic in wanted.keys() & found.keys():
            differences += self._kept_otherwise(found[topic])
        return sorted(differences, key=lambda one: (one.topic, one.by_hand or ""))

    async def apply(self, wanted: Mapping[str, int]) -> Sequence[Difference]:
        ours = [one for one in await self.differences(wanted) if one.by_hand is None]
        changes: dict[str, dict[str, str]] = defaultdict(dict)
        for one in ours:
            if one.what == "topic":
                await self._create(one.topic, wanted[one.topic])
            else:
                changes[one.topic][one.what] = one.wanted
        for topic, config in changes.items():
            await self._change(topic, config)
        await self._settled(wanted)
        return ours

    async def require(self, wanted: Mapping[str, int]) -> None:
        try:
            found = await self.partitions()
        except LogUnavailable as error:
            raise LogUnusable(str(error)) from error
        lacking = {topic: count for topic, count in wanted.items() if found.get(topic, 0) < count}
        if differences := missing_or_other(lacking, found):
            raise LogUnusable(f"{self._place}: {_sentence(differences)}")

    async def close(self) -> None:
        await self._client.close()

    @property
    def _place(self) -> str:
        prefix = f"/{self._cluster.prefix}" if self._cluster.prefix else ""
        return f"Kafka at {self._cluster.bootstrap}{prefix}"

    async def _asked(self, what: str, ask: Callable[[_Client], Awaitable[Any]]) -> Any:
        """An answer of the cluster. A client that failed is thrown away: it may not come back from that."""
        client: Any = None
        try:
            with self._cluster.asked(what):
                async with asyncio.timeout(TIMEOUT_S):
                    client = await self._client.get()
                    return await ask(client)
        except LogUnavailable:
            self._client.drop(client)
            raise

    async def _described(self) -> list[TopicState]:
        """Topics of ours, without their settings; one that is just being made is left out."""
        answer = await self._asked("list the topics", lambda client: client.to_any(TopicsRequest()))
        prefix = self._cluster.prefix
        return [
            TopicState(
                name.removeprefix(prefix), len(partitions), str(identity), min(len(one[4]) for one in partitions)
            )
            for code, name, identity, is_internal, partitions, *_ in answer.topics
            if not code and not is_internal and name.startswith(prefix)
        ]

    async def _configs(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings that matter to us. A topic that is gone is left out."""
        names = [*KEPT, "max.message.bytes", "min.insync.replicas"]
        asked = [(TOPIC_RESOURCE, self._cluster.name(topic), names) for topic in topics]
        if not asked:
            return {}
        request = DescribeConfigsRequest(asked)
        answer = await self._asked("look at the settings of topics", lambda client: client.to_any(request))
        prefix = self._cluster.prefix
        return {
            name.removeprefix(prefix): {entry[0]: entry[1] for entry in entries}
            for code, _, _, name, entries in answer.resources
            if not code
        }

    def _kept_otherwise(self, found: TopicState) -> list[Difference]:
        """Safer than asked for is no difference: more replicas, larger messages."""
        config = found.config or {}
        differences = [
            Difference(found.name, name, config.get(name, "unknown"), value)
            for name, value in KEPT.items()
            if config.get(name) != value
        ]
        least = {"max.message.bytes": MAX_MESSAGE_BYTES, "min.insync.replicas": self._cluster.min_insync}
        differences += [
            Difference(found.name, name, config.get(name, "unknown"), str(value))
            for name, value in least.items()
            if int(config.get(name, 0)) < value
        ]
        if (found.replication or 0) < self._cluster.replication:
            by_hand = "replicas are added with Kafka's own tool, kafka-reassign-partitions"
            wanted = str(self._cluster.replication)
            differences.append(Difference(found.name, "replication", str(found.replication), wanted, by_hand))
        return differences

    async def _create(self, topic: str, partitions: int) -> None:
        """Another may make it at the same moment."""
        least = {"max.message.bytes": str(MAX_MESSAGE_BYTES), "min.insync.replicas": str(self._cluster.min_insync)}
        config = list({**KEPT, **least}.items())
        wanted: tuple[Any, ...] = (self._cluster.name(topic), partitions, self._cluster.replication, [], config)
        request = CreateTopicsRequest([wanted], int(TIMEOUT_S * 1000), False)
        answer = await self._asked(f"make topic {topic}", lambda client: client.to_controller(request))
        for _, code, *detail in answer.topic_errors:
            if for_code(code) is not TopicAlreadyExistsError:
                self._check(f"make topic {topic}", code, detail)

    async def _change(self, topic: str, config: Mapping[str, str]) -> None:
        request = ChangeConfigsRequest(self._cluster.name(topic), config)
        answer = await self._asked(f"change topic {topic}", lambda client: client.to_controller(request))
        for code, detail, *_ in answer.responses:
            self._check(f"change topic {topic}", code, [detail])

    def _check(self, what: str, code: int, detail: Sequence[str | None]) -> None:
        """Raises what an answer says."""
        if not code:
            return
        error = for_code(code)
        said = " ".join(filter(None, [error.__name__, *detail]))
        if getattr(error, "retriable", False) or error is NotControllerError:
            raise LogUnavailable(f"{what}: {self._place} can't do it at this moment ({said}). Do it again.")
        raise LogUnusable(
            f"{what}: {self._place} refuses ({said}). Correct COUNTINGHOUSE_KAFKA_REPLICATION or "
            "COUNTINGHOUSE_KAFKA_MIN_INSYNC, or give our user the right to it."
        )

    async def _appeared(self, topic: str) -> int:
        """The partitions of a topic that was made, as soon as brokers know it."""
        with self._cluster.asked(f"wait for topic {topic}"):
            async with asyncio.timeout(APPEARS_WITHIN_S):
                while topic not in (found := await self.partitions()):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_AGAIN_S)
        return found[topic]

    async def _settled(self, wanted: Mapping[str, int]) -> None:
        with self._cluster.asked("wait for the topics"):
            async with asyncio.timeout(APPEARS_WITHIN_S):
                while any(one.by_hand is None for one in await self.differences(wanted)):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_AGAIN_S)


def _sentence(differences: Sequence[Difference]) -> str:
    missing = [one.topic for one in differences if one.what == "topic"]
    if missing:
        return f"there is no {' and no '.join(missing)} that we may see. Make them: countinghouse topics apply"
    return "; ".join(map(str, differences))
