"""Figures are found by their buckets alone: an index by product cost each batch more than all else that it writes."""

from event_store.alembic_migration import run_sql_beside

revision = "figures_0005"
down_revision = "figures_0004"
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
