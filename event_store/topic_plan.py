"""What topics should be, what they are, and what brings one to the other.

An administrator of topics compares and changes; `Difference` is what it finds. Topics of a log that keeps its files
itself are made by whoever needs them; on a server somebody makes them, with `countinghouse topics apply`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .topics import version_of


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the log has it."""

    name: str
    partitions: int
    identity: str | None = None
    """Tells it from another topic that bears its name later; None where the log knows no such thing."""
    replication: int | None = None
    """Of its partition that has the fewest replicas; None where there are none."""
    config: Mapping[str, str] | None = None
    """The settings that matter to us; None where topics have none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which a topic is not as it should be."""

    topic: str
    what: str
    """`topic` for one that is missing, `partitions`, `replication`, or the name of a setting of Kafka's."""
    found: str
    wanted: str
    by_hand: str | None = None
    """What to do where `apply` can't bring it about."""

    def __str__(self) -> str:
        if self.what == "topic":
            return f"{self.topic} is missing, and should have {self.wanted}"
        remedy = f": {self.by_hand}" if self.by_hand else ""
        return f"{self.topic}: {self.what} is {self.found}, and should be {self.wanted}{remedy}"

    @property
    def done(self) -> str:
        """What is said when it has been brought about."""
        if self.what == "topic":
            return f"{self.topic} is made, with {self.wanted}."
        return f"{self.topic}: {self.what} is {self.wanted}; it was {self.found}."


class TopicAdmin(Protocol):
    async def found(self) -> Mapping[str, TopicState]:
        """Every topic of the log, by name. Raises LogUnavailable."""
        ...

    async def differences(self, wanted: Mapping[str, int]) -> Sequence[Difference]:
        """In what the log differs from `wanted` (topic → partitions), and its topics from how they are to be kept."""
        ...

    async def apply(self, wanted: Mapping[str, int]) -> Sequence[Difference]:
        """Brings about what it can, and returns that. May be repeated, and run twice at once.

        Raises LogUnavailable, and LogUnusable for what the log refuses.
        """
        ...

    async def require(self, wanted: Mapping[str, int]) -> None:
        """Returns where a process may begin to work with these topics.

        A log that keeps its files itself makes them, and raises TransientError while it can't. A server must be
        there and have them, with as many partitions or more: raises LogUnusable, with what to do.
        """
        ...

    async def close(self) -> None: ...


def missing_or_other(wanted: Mapping[str, int], found: Mapping[str, int]) -> list[Difference]:
    """Topics that are missing, or have another number of partitions."""
    return [
        Difference(topic, "topic", "missing", f"{partitions} partitions")
        if topic not in found
        else Difference(topic, "partitions", str(found[topic]), str(partitions), _by_hand(topic, partitions))
        for topic, partitions in wanted.items()
        if found.get(topic) != partitions
    ]


def _by_hand(topic: str, partitions: int) -> str:
    return (
        "partitions can't be taken away, and with more of them keys would move. A new version of the topic can have "
        f"them: countinghouse topics migrate {version_of(topic)[0]} --partitions {partitions}"
    )
