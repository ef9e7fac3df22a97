CREATE TABLE IF NOT EXISTS generation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    served_at_us INTEGER,
    note TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS one_serving_generation ON generation (state) WHERE state = 'serving';

CREATE UNIQUE INDEX IF NOT EXISTS one_building_generation ON generation (state) WHERE state = 'building';

CREATE TABLE IF NOT EXISTS signing_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value BLOB NOT NULL
) STRICT;

INSERT INTO signing_key (id, value) VALUES (1, randomblob(32)) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS inbox_position (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    last_fingerprint INTEGER,
    last_appended_at_us INTEGER,
    counted_at_us INTEGER,
    duplicates INTEGER NOT NULL DEFAULT 0,
    stopped TEXT,
    PRIMARY KEY (generation, topic, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS event_handled (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    source TEXT NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number, source, first_sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS event_handled_id (
    generation INTEGER NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (generation, source, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS dead_letter (
    generation INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    raw BLOB,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    appended_at_us INTEGER NOT NULL,
    PRIMARY KEY (generation, topic, number, record_offset)
) STRICT;

CREATE TABLE IF NOT EXISTS sales (
    generation INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    orders INTEGER NOT NULL,
    units_sold INTEGER NOT NULL,
    gross_minor INTEGER NOT NULL,
    refunds INTEGER NOT NULL,
    units_refunded INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    CONSTRAINT pk_sales PRIMARY KEY (generation, bucket, product_id, currency)
) WITHOUT ROWID, STRICT;

CREATE INDEX IF NOT EXISTS ix_sales_product ON sales (generation, product_id, bucket);

CREATE TABLE IF NOT EXISTS interest (
    generation INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    views INTEGER NOT NULL,
    likes INTEGER NOT NULL,
    CONSTRAINT pk_interest PRIMARY KEY (generation, bucket, product_id, currency)
) WITHOUT ROWID, STRICT;

CREATE INDEX IF NOT EXISTS ix_interest_product ON interest (generation, product_id, bucket);

CREATE TABLE IF NOT EXISTS listing (
    generation INTEGER NOT NULL,
    product_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    CONSTRAINT pk_listing PRIMARY KEY (generation, product_id)
) WITHOUT ROWID, STRICT;
