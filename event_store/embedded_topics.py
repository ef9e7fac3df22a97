"""The topics of a log that keeps its files itself: whoever needs one makes it, and nothing else is to be set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .log import Log
from .topic_plan import Difference, TopicState, missing_or_other


@dataclass(frozen=True, slots=True)
class EmbeddedTopics:
    """A TopicAdmin. The log stays its owner's to close."""

    log: Log

    async def found(self) -> Mapping[str, TopicState]:
        return {name: TopicState(name, partitions) for name, partitions in (await self.log.topics()).items()}

    async def differences(self, wanted: Mapping[str, int]) -> Sequence[Difference]:
        return missing_or_other(wanted, await self.log.topics())

    async def apply(self, wanted: Mapping[str, int]) -> Sequence[Difference]:
        missing = [one for one in await self.differences(wanted) if one.by_hand is None]
        for one in missing:
            await self.log.create_topic(one.topic, wanted[one.topic])
        return missing

    async def require(self, wanted: Mapping[str, int]) -> None:
        for topic, partitions in wanted.items():
            await self.log.create_topic(topic, partitions)

    async def close(self) -> None: ...
