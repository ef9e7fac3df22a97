"""The API while `topics migrate` gives the outbox lanes of a new version of a topic, from another process."""

from __future__ import annotations

from event_store.topics import PARTITIONS, partition_for

from .counter import Counterside

PLACES = """
SELECT o.key, l.topic, l.number FROM outbox AS o JOIN outbox_lane AS l ON l.id = o.lane
WHERE l.topic LIKE 'catalog-events%' AND o.key LIKE 'new-%' ORDER BY o.id
"""
SECOND = 9


async def test_an_open_shop_writes_to_a_new_version_as_soon_as_it_has_lanes(counter: Counterside) -> None:
    products = [f"new-{number}" for number in range(6)]
    for product_id in products:
        await counter.list_product(product_id)
    lanes = ", ".join(f"('catalog-events.v2', {number})" for number in range(SECOND))
    counter.database.execute(f"INSERT INTO outbox_lane (topic, number) VALUES {lanes}")  # noqa: S608
    for product_id in products:
        await counter.view(product_id)
    first = [(one, "catalog-events", partition_for(one.encode(), PARTITIONS["catalog-events"])) for one in products]
    second = [(one, "catalog-events.v2", partition_for(one.encode(), SECOND)) for one in products]
    assert list(counter.rows(PLACES)) == first + second
