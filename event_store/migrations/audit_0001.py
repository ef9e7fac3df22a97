"""The audit and its head."""

from event_store.alembic_migration import run_sql_beside

revision = "audit_0001"
down_revision = None
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
