"""Which days' figures each batch changed, so that who keeps figures reads only these again."""

from event_store.alembic_migration import run_sql_beside

revision = "figures_0002"
down_revision = "figures_0001"
release = "0.1.0"


def upgrade() -> None:
    run_sql_beside(__file__)
