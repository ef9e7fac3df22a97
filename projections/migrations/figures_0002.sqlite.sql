CREATE TABLE IF NOT EXISTS touched_day (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    day INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS touched_stretch (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number)
) STRICT, WITHOUT ROWID;
