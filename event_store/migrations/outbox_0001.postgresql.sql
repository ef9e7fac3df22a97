CREATE TABLE IF NOT EXISTS outbox_source (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    base TEXT NOT NULL,
    incarnation BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS outbox_lane (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    next_sequence BIGINT NOT NULL DEFAULT 1,
    acknowledged BIGINT NOT NULL DEFAULT 0,
    acknowledged_offset BIGINT NOT NULL DEFAULT -1,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at_us BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    UNIQUE (topic, number)
) WITH (fillfactor = 50);

-- No foreign key to the lane: it would lock the lane's row from every insert to its COMMIT, and with it the relay.
CREATE TABLE IF NOT EXISTS outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BYTEA NOT NULL,
    recorded_at_us BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS outbox_waiting (
    lane BIGINT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (lane, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE IF NOT EXISTS outbox_claimed (
    lane BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (lane, sequence)
);

CREATE TABLE IF NOT EXISTS outbox_dead (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BYTEA NOT NULL,
    reason TEXT NOT NULL,
    died_at_us BIGINT NOT NULL,
    redriven_at_us BIGINT
);

CREATE OR REPLACE FUNCTION outbox_rows_wait() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO outbox_waiting (lane, id) SELECT lane, id FROM written;
    IF FOUND THEN
        PERFORM pg_notify('countinghouse_outbox', '');
    END IF;
    RETURN NULL;
END $body$;

CREATE OR REPLACE TRIGGER outbox_rows_wait AFTER INSERT ON outbox
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION outbox_rows_wait();
