CREATE TABLE IF NOT EXISTS touched_day (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    day BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number, day)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS touched_stretch (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    first_offset BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number)
) WITH (fillfactor = 50);
