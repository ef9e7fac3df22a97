"""What is done to accounts and sessions, as steps (event_store/steps.py): each with its row in the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from event_store import audit
from event_store.audit import Entry
from event_store.steps import Row, Steps

from .account import Account, AccountChanged, LastAdmin, Session
from .roles import Role

OF_ACCOUNT = "name, role, password, must_change, disabled, made_at_us, version"
OF_SESSION = "id, account, begun_at_us, seen_at_us, address, browser"

SELECT_ACCOUNTS = f"SELECT {OF_ACCOUNT} FROM account ORDER BY name"  # noqa: S608
SELECT_ACCOUNT = f"SELECT {OF_ACCOUNT} FROM account WHERE name = :name"  # noqa: S608
INSERT_ACCOUNT = f"""
INSERT INTO account ({OF_ACCOUNT})
VALUES (:name, :role, :password, :must_change, :disabled, :made_at_us, 1) ON CONFLICT DO NOTHING RETURNING name
"""  # noqa: S608
UPDATE_ACCOUNT = """
UPDATE account SET role = :role, password = :password, must_change = :must_change, disabled = :disabled,
    version = :version + 1
WHERE name = :name AND version = :version RETURNING version
"""
COUNT_ACCOUNTS = "SELECT count(*) FROM account"
COUNT_ADMINS = "SELECT count(*) FROM account WHERE role = 'admin' AND disabled = 0"

SELECT_SESSION = f"""
SELECT {", ".join(f"s.{column.strip()}" for column in OF_SESSION.split(","))}, {OF_ACCOUNT}
FROM account_session AS s JOIN account AS a ON a.name = s.account WHERE s.id = :id AND a.disabled = 0
"""  # noqa: S608
SELECT_SESSIONS = f"""
SELECT {OF_SESSION} FROM account_session WHERE account = :account ORDER BY seen_at_us DESC, id
"""  # noqa: S608
INSERT_SESSION = f"""
INSERT INTO account_session ({OF_SESSION}) VALUES (:id, :account, :begun_at_us, :seen_at_us, :address, :browser)
"""  # noqa: S608
SEEN = "UPDATE account_session SET seen_at_us = :now_us WHERE id = :id"
END_SESSION = "DELETE FROM account_session WHERE id = :id"
END_SESSIONS = "DELETE FROM account_session WHERE account = :account AND id <> :kept RETURNING id"
FORGET_SESSIONS = "DELETE FROM account_session WHERE begun_at_us <= :begun_us OR seen_at_us <= :seen_us"

NOBODY = b""


def accounts() -> Steps[Sequence[Account]]:
    rows = yield SELECT_ACCOUNTS, {}
    return [_account(row) for row in rows]


def account(name: str) -> Steps[Account | None]:
    rows = yield SELECT_ACCOUNT, {"name": name}
    return _account(rows[0]) if rows else None


def add(new: Account, entry: Entry, now_us: int) -> Steps[bool]:
    """Whether the name was free."""
    rows = yield INSERT_ACCOUNT, _values(new)
    if rows:
        yield from audit.record(entry, now_us)
    return bool(rows)


def add_first(new: Account, entry: Entry, now_us: int) -> Steps[bool]:
    """Whether there was no account at all. Two who find none at once make the same one, so one of them does."""
    ((before,),) = yield COUNT_ACCOUNTS, {}
    if before:
        return False
    return (yield from add(new, entry, now_us))


def change(before: Account, after: Account, entry: Entry, now_us: int, kept: bytes | None = NOBODY) -> Steps[None]:
    """Raises AccountChanged and LastAdmin. Ends the account's sessions but for `kept`; None keeps them all.

    The audit comes first: whoever changes an account at the same time waits there, so the admins are counted exactly.
    """
    yield from audit.record(entry, now_us)
    rows = yield UPDATE_ACCOUNT, {**_values(after), "version": before.version}
    if not rows:
        raise AccountChanged(f"{before.name} was changed by somebody else in between; look again")
    ((admins,),) = yield COUNT_ADMINS, {}
    if not admins and before.role is Role.ADMIN:
        raise LastAdmin(f"{before.name} is the last admin; make another one first")
    if kept is not None:
        yield END_SESSIONS, {"account": before.name, "kept": kept}


def rehashed(before: Account, password: str) -> Steps[None]:
    """The same password, written down in a newer way. What was changed in between stays."""
    after = {**_values(before), "password": password}
    yield UPDATE_ACCOUNT, after


def begin(
    session: Session, found: Account, replaced: bytes | None, entry: Entry, kept_since: tuple[int, int]
) -> Steps[None]:
    """A new session in place of the one that the browser had. `kept_since`: when what is kept began, and was seen.

    Raises AccountChanged where the account isn't as it was `found` when its password was looked at.
    """
    yield from audit.record(entry, session.begun_at_us)
    if (yield from account(found.name)) != found:
        raise AccountChanged(f"{found.name} was changed by somebody else in between; try again")
    yield FORGET_SESSIONS, {"begun_us": kept_since[0], "seen_us": kept_since[1]}
    yield END_SESSION, {"id": replaced or NOBODY}
    yield from insert(session)


def insert(session: Session) -> Steps[None]:
    yield (
        INSERT_SESSION,
        {
            "id": session.id,
            "account": session.account,
            "begun_at_us": session.begun_at_us,
            "seen_at_us": session.seen_at_us,
            "address": session.address,
            "browser": session.browser,
        },
    )


def session(id_: bytes) -> Steps[tuple[Session, Account] | None]:
    """With its account, unless that is disabled."""
    rows = yield SELECT_SESSION, {"id": id_}
    return (_session(rows[0][:6]), _account(rows[0][6:])) if rows else None


def sessions(name: str) -> Steps[Sequence[Session]]:
    rows = yield SELECT_SESSIONS, {"account": name}
    return [_session(row) for row in rows]


def seen(id_: bytes, now_us: int) -> Steps[None]:
    yield SEEN, {"id": id_, "now_us": now_us}


def end(id_: bytes, entry: Entry, now_us: int) -> Steps[None]:
    yield from audit.record(entry, now_us)
    yield END_SESSION, {"id": id_}


def end_others(name: str, kept: bytes, entry: Entry, now_us: int) -> Steps[int]:
    yield from audit.record(entry, now_us)
    rows = yield END_SESSIONS, {"account": name, "kept": kept}
    return len(rows)


def _values(one: Account) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": str(one.role),
        "password": one.password,
        "must_change": int(one.must_change),
        "disabled": int(one.disabled),
        "made_at_us": one.made_at_us,
        "version": one.version,
    }


def _account(row: Row) -> Account:
    (name, role, password, must_change, disabled, made_at_us, version) = row
    return Account(name, Role(role), password, bool(must_change), bool(disabled), made_at_us, version)


def _session(row: Row) -> Session:
    (id_, *rest) = row
    return Session(bytes(id_), *rest)
