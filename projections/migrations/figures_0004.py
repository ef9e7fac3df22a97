"""Refunds by the day of their sale. What was counted before adds nothing: its events don't say when the sale was."""

from event_store.alembic_migration import run_sql_beside

revision = "figures_0004"
down_revision = "figures_0003"
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
