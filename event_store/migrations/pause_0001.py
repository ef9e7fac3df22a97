"""Pauses of the parts of the line."""

from event_store.alembic_migration import run_sql_beside

revision = "pause_0001"
down_revision = None
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
