"""Which back end the address of a PostgreSQL database chooses."""

from __future__ import annotations

from event_store.connect import open_leases, open_outbox
from event_store.postgres_leases import PostgresLeases
from event_store.postgres_outbox import PostgresOutbox
from projections.connect import open_read_model
from projections.postgres_read_model import PostgresReadModel


async def test_an_address_of_postgresql_opens_the_back_ends_that_work_there(postgres_url: str) -> None:
    (leases, outbox) = (open_leases(postgres_url), open_outbox(postgres_url, {"order-events": 1}))
    read_model = open_read_model(postgres_url)
    assert isinstance(leases, PostgresLeases)
    assert isinstance(outbox, PostgresOutbox)
    assert isinstance(read_model, PostgresReadModel)
    assert [lease.owner for lease in await leases.take(["a"], "me", 10)] == ["me"]
    assert (await outbox.source()).startswith("/countinghouse/commerce/")
    assert await read_model.serving() == 1
    for one in (outbox, read_model):
        await one.close()
    await leases.close()
