CREATE TABLE IF NOT EXISTS lease (
    name TEXT COLLATE "C" PRIMARY KEY,
    owner TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL
) WITH (fillfactor = 50);
