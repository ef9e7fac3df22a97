"""Figures are found by their buckets alone: an index by product was most of what a batch of views had to write."""

from event_store.alembic_migration import run_sql_beside

revision = "figures_0005"
down_revision = "figures_0004"
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
