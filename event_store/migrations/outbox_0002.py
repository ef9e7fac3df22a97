"""Which events were written at most once, for as long as the outbox is."""

from event_store.alembic_migration import run_sql_beside

revision = "outbox_0002"
down_revision = "outbox_0001"
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
