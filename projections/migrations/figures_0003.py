"""What was decided about dead letters, by their places in the log."""

from event_store.alembic_migration import run_sql_beside

revision = "figures_0003"
down_revision = "figures_0002"
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
