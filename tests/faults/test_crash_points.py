"""Every crash point: the process dies there, another one takes its place, and every figure is exact."""

from __future__ import annotations

import asyncio

import pytest

from backoffice.supervisor import CLEAN_ENDS
from event_store.crash_points import CRASH_POINTS
from event_store.topics import TOPICS

from .invoices import parts
from .shop import LINE, Shop

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

FIRST_APPEND = len(TOPICS) + 1
"""Writes to the log: each topic is made sure of, then the first records come."""
FIRST_CLAIM = 3
"""Writes of the relay to the outbox: the name's old leases end, the lanes are taken, rows are claimed, then marked."""
FIRST_BATCH = sum(topic.partitions for topic in TOPICS) + 1
"""Writes of the consumer: each partition begins without a stop, then the first batch comes."""

IN_THE_API = [("api.before_commit", 2), ("api.after_commit", 3)]
IN_THE_RELAY = [
    ("relay.after_claim", 1),
    ("relay.after_append", 1),
    ("relay.after_acknowledge", 1),
    ("outbox.before_commit", FIRST_CLAIM),
    ("outbox.after_commit", FIRST_CLAIM),
    ("outbox.before_commit", FIRST_CLAIM + 1),
    ("log.before_commit", FIRST_APPEND),
    ("log.after_commit", FIRST_APPEND),
]
IN_THE_CONSUMER = [
    ("log.before_commit", FIRST_APPEND),
    ("log.after_commit", FIRST_APPEND),
    ("consumer.after_read", FIRST_BATCH),
    ("consumer.before_commit", FIRST_BATCH),
    ("consumer.before_commit", FIRST_BATCH + 1),
    ("consumer.after_commit", FIRST_BATCH),
    ("consumer.after_commit", FIRST_BATCH + 1),
    ("consumer.after_memory", 2),
]
ELSEWHERE = {
    "rebuild.after_chunk",
    "rebuild.before_switch",
    "rebuild.after_switch",
    "archive.before_seal",
    "archive.after_seal",
    "move.after_records",
    "move.before_commit",
    "move.after_commit",
    *(point for point in CRASH_POINTS if point.startswith(("topics.", "letters."))),
}
"""In test_rebuilds.py, test_archive.py and test_move.py; in test_letters.py and in
test_topic_migration.py all that begin so."""


def test_no_crash_point_is_left_out() -> None:
    passed = {point for point, _ in IN_THE_API + IN_THE_RELAY + IN_THE_CONSUMER}
    assert passed | ELSEWHERE == set(CRASH_POINTS)


@pytest.mark.parametrize(
    ("role", "points"), [("api", IN_THE_API), ("relay", IN_THE_RELAY), ("consumer", IN_THE_CONSUMER)], ids=LINE
)
async def test_wherever_a_process_dies_every_figure_is_exact(
    shop: Shop, role: str, points: list[tuple[str, int]]
) -> None:
    """At each point in turn: it dies there while a part of the excerpt is sent, and another one goes on."""
    for other in LINE:
        if other != role:
            shop.start(other)
    for (point, passing), part in zip(points, parts(shop.folder, len(points)), strict=True):
        # Else a consumer that is late takes the part as one batch, and never comes to a point behind the first.
        dying = shop.start(role, COUNTINGHOUSE_CRASH_AT=f"{point}:{passing}", COUNTINGHOUSE_BATCH_RECORDS="2")
        sending = asyncio.create_task(shop.send(part.file))
        await dying.died_at_its_crash_point()
        heir = shop.start(role)
        assert (await sending).delivery.failed == 0
        await shop.counted_exactly(part.expected)
        assert heir.stop() in CLEAN_ENDS
