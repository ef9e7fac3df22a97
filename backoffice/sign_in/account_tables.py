"""The tables of accounts, sessions and tries to sign in, as each kind of database makes them."""

from __future__ import annotations

SQLITE = """
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    must_change INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    made_at_us INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account_session (
    id BLOB PRIMARY KEY,
    account TEXT NOT NULL,
    begun_at_us INTEGER NOT NULL,
    seen_at_us INTEGER NOT NULL,
    address TEXT NOT NULL,
    browser TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ix_account_session_account ON account_session (account);
CREATE TABLE IF NOT EXISTS sign_in_try (
    id BLOB PRIMARY KEY,
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ix_sign_in_try_address ON sign_in_try (address, account, at_us);
CREATE TABLE IF NOT EXISTS sign_in_turn (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    turns INTEGER NOT NULL
) STRICT;
"""

POSTGRES = """
CREATE TABLE IF NOT EXISTS account (
    name TEXT COLLATE "C" PRIMARY KEY,
    role TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C" NOT NULL,
    must_change BIGINT NOT NULL,
    disabled BIGINT NOT NULL,
    made_at_us BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS account_session (
    id BYTEA PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    begun_at_us BIGINT NOT NULL,
    seen_at_us BIGINT NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    browser TEXT COLLATE "C" NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_account_session_account ON account_session (account);
CREATE TABLE IF NOT EXISTS sign_in_try (
    id BYTEA PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    at_us BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_sign_in_try_address ON sign_in_try (address, account, at_us);
CREATE TABLE IF NOT EXISTS sign_in_turn (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    turns BIGINT NOT NULL
) WITH (fillfactor = 50);
"""
