CREATE TABLE IF NOT EXISTS api_token (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    used_at_us INTEGER,
    revoked_at_us INTEGER
) STRICT, WITHOUT ROWID;
