CREATE TABLE IF NOT EXISTS generation (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    served_at_us BIGINT,
    note TEXT NOT NULL
);

CREATE UNIQUE INDEX IF NOT EXISTS one_serving_generation ON generation (state) WHERE state = 'serving';

CREATE UNIQUE INDEX IF NOT EXISTS one_building_generation ON generation (state) WHERE state = 'building';

CREATE TABLE IF NOT EXISTS signing_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value BYTEA NOT NULL
);

INSERT INTO signing_key (id, value)
VALUES (1, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS inbox_position (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    last_fingerprint BIGINT,
    last_appended_at_us BIGINT,
    counted_at_us BIGINT,
    duplicates BIGINT NOT NULL DEFAULT 0,
    stopped TEXT,
    PRIMARY KEY (generation, topic, number)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS event_handled (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number, source, first_sequence)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS event_handled_id (
    generation BIGINT NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, source, event_id)
);

CREATE TABLE IF NOT EXISTS dead_letter (
    generation BIGINT NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    record_offset BIGINT NOT NULL,
    raw BYTEA,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    appended_at_us BIGINT NOT NULL,
    PRIMARY KEY (generation, topic, number, record_offset)
);

CREATE TABLE IF NOT EXISTS sales (
    generation BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    product_id TEXT COLLATE "C" NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    orders BIGINT NOT NULL,
    units_sold BIGINT NOT NULL,
    gross_minor BIGINT NOT NULL,
    refunds BIGINT NOT NULL,
    units_refunded BIGINT NOT NULL,
    refunded_minor BIGINT NOT NULL,
    CONSTRAINT pk_sales PRIMARY KEY (generation, bucket, product_id, currency)
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS ix_sales_product ON sales (generation, product_id, bucket);

CREATE TABLE IF NOT EXISTS interest (
    generation BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    product_id TEXT COLLATE "C" NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    views BIGINT NOT NULL,
    likes BIGINT NOT NULL,
    CONSTRAINT pk_interest PRIMARY KEY (generation, bucket, product_id, currency)
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS ix_interest_product ON interest (generation, product_id, bucket);

CREATE TABLE IF NOT EXISTS listing (
    generation BIGINT NOT NULL,
    product_id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    price_minor BIGINT NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_listing PRIMARY KEY (generation, product_id)
) WITH (fillfactor = 70);
