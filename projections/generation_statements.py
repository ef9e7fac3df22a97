"""The SQL over generations that is the same in every database, each statement by its name."""

from __future__ import annotations

AT_MOST_ONE = """
CREATE UNIQUE INDEX IF NOT EXISTS one_serving_generation ON generation (state) WHERE state = 'serving';
CREATE UNIQUE INDEX IF NOT EXISTS one_building_generation ON generation (state) WHERE state = 'building';
"""
SELECT_SERVING = "SELECT number FROM generation WHERE state = 'serving'"
SELECT_GENERATIONS = "SELECT number, state, created_at_us, served_at_us, note FROM generation ORDER BY number"
RETIRE = "UPDATE generation SET state = 'retired' WHERE state = 'serving'"


def first_generation_statement(now_us: str) -> str:
    """Makes a generation that serves where there is none; `now_us` is SQL for the database's clock."""
    return f"""
        INSERT INTO generation (state, created_at_us, served_at_us, note)
        SELECT 'serving', {now_us}, {now_us}, 'the first generation' WHERE NOT EXISTS (SELECT 1 FROM generation)
    """  # noqa: S608
