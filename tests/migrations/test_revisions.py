"""Revisions are one line each, whole in the wheel, and take away nothing that the release before them uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.version import Version

from event_store.errors import StorageUnusable
from event_store.revisions import Revisions, Standing
from tests.architecture.sources import ROOT, tracked_files
from tests.servers.postgres import EVERY_SET

DIALECTS = ("sqlite", "postgresql")
TAKES_AWAY = re.compile(
    r"\bDROP\b|\bRENAME\b|\bTRUNCATE\b|\bDELETE FROM\b|\bALTER COLUMN\b|\bSET NOT NULL\b|"
    r"\bADD (?:CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY|EXCLUDE)\b|\bADD COLUMN\b(?!.*\bDEFAULT\b).*\bNOT NULL\b",
    re.IGNORECASE,
)
"""What code that doesn't know of it may fail by: what it reads or writes is gone, or is refused."""
UNIQUE = re.compile(r"CREATE UNIQUE INDEX (?:IF NOT EXISTS )?\w+ ON (\w+)", re.IGNORECASE)
PLAIN_INDEX = re.compile(r"CREATE INDEX (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)
"""One that isn't unique refuses no row and answers no ON CONFLICT: without it, old code only takes longer."""
TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)
TRIGGER = re.compile(r"DROP TRIGGER IF EXISTS (\w+);", re.IGNORECASE)
QUOTED = re.compile(r"\$body\$.*?\$body\$|--[^\n]*|'[^']*'", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Script:
    """A revision's file, as far as its rules go."""

    name: str
    before: str | None
    release: str
    contracts: str | None
    """The revision, of an earlier release, since which nothing needs what this one takes away."""
    upgrade: str
    statements: str
    """Of both dialects."""


def scripts(revisions: Revisions) -> Iterator[Script]:
    for name in revisions.known:
        tree = ast.parse((revisions.folder / f"{name}.py").read_text())
        values = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        (upgrade,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
        assert values["revision"] == name
        yield Script(
            name,
            values["down_revision"],
            values["release"],
            values.get("contracts"),
            ast.unparse(upgrade.body[0]) if len(upgrade.body) == 1 else "more than one statement",
            "\n\n".join((revisions.folder / f"{name}.{dialect}.sql").read_text() for dialect in DIALECTS),
        )


def taken_away(statements: str, before: str = "") -> list[str]:
    """The statements of a script that are no mere addition to what was made `before`.

    A trigger that is made anew is none of them, nor an index that isn't unique.
    """
    plain = QUOTED.sub("", statements)
    for index in PLAIN_INDEX.findall(before):
        plain = plain.replace(f"DROP INDEX IF EXISTS {index};", "")
    tables = set(TABLE.findall(plain))
    for trigger in TRIGGER.findall(plain):
        if re.search(rf"CREATE TRIGGER {trigger}\b", plain):
            plain = plain.replace(f"DROP TRIGGER IF EXISTS {trigger};", "")
    every = [" ".join(statement.split()) for statement in plain.split(";")]
    unique = [one for one in every if (found := UNIQUE.match(one)) and found[1] not in tables]
    return [one for one in every if TAKES_AWAY.search(one)] + unique


def faults(line: list[Script]) -> list[str]:
    """What is wrong with a line of revisions."""
    found = []
    releases = {one.name: Version(one.release) for one in line}
    made = ""
    for before, one in zip([None, *line], line, strict=False):
        if one.before != (before.name if before else None):
            found.append(f"{one.name} doesn't follow the one before it")
        if before and releases[one.name] < releases[before.name]:
            found.append(f"{one.name} is of an earlier release than the one before it")
        if one.contracts is None and (taken := taken_away(one.statements, made)):
            found.append(f"{one.name} takes away: {taken[0]}")
        made += one.statements
        if one.contracts is not None and not releases.get(one.contracts, releases[one.name]) < releases[one.name]:
            found.append(f"{one.name} takes away what the release before it may still use")
        if one.upgrade != "run_sql_beside(__file__)":
            found.append(f"{one.name} does more than its SQL says")
    return found


@pytest.mark.parametrize("revisions", EVERY_SET, ids=lambda one: one.name)
def test_revisions_are_a_line_and_only_add_to_what_the_release_before_knows(revisions: Revisions) -> None:
    line = list(scripts(revisions))
    assert line
    assert faults(line) == []


def _line(statements: str, **more: str) -> list[Script]:
    run = "run_sql_beside(__file__)"
    made = "CREATE TABLE a (id INTEGER);\n\nCREATE INDEX plain ON a (id);\n\nCREATE UNIQUE INDEX sole ON a (id);"
    first = Script("a_0001", None, "0.1.0", None, run, made)
    rest = {"release": "0.2.0", "contracts": None, "upgrade": run, **more}
    return [first, Script("a_0002", "a_0001", statements=statements, **rest)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statements",
    [
        "DROP TABLE a;",
        "ALTER TABLE a DROP COLUMN id;",
        "ALTER TABLE a RENAME COLUMN id TO number;",
        "ALTER TABLE a ALTER COLUMN id TYPE BIGINT;",
        "ALTER TABLE a ADD COLUMN more TEXT NOT NULL;",
        "ALTER TABLE a ADD CONSTRAINT positive CHECK (id > 0);",
        "CREATE UNIQUE INDEX one ON a (id);",
        "DROP TRIGGER IF EXISTS tells;",
        "DROP INDEX IF EXISTS sole;",
    ],
)
def test_what_old_code_could_fail_by_is_seen(statements: str) -> None:
    assert [one.partition(":")[0] for one in faults(_line(statements))] == ["a_0002 takes away"]
    assert faults(_line(statements, contracts="a_0001")) == []
    unseen = faults(_line(statements, contracts="a_0001", release="0.1.0"))
    assert unseen == ["a_0002 takes away what the release before it may still use"]


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE a ADD COLUMN more TEXT;",
        "ALTER TABLE a ADD COLUMN more TEXT NOT NULL DEFAULT 'DROP';",
        "CREATE TABLE b (id INTEGER);\n\nCREATE UNIQUE INDEX one ON b (id);\n\nCREATE INDEX two ON a (id);",
        "DROP TRIGGER IF EXISTS tells;\n\nCREATE TRIGGER tells AFTER INSERT ON a BEGIN SELECT 1; END;",
        "UPDATE a SET id = 1 WHERE id IS NULL; -- DROP nothing",
        "DROP INDEX IF EXISTS plain;",
    ],
)
def test_what_is_merely_added_is_let_pass(statements: str) -> None:
    assert faults(_line(statements)) == []


def test_a_revision_that_does_more_than_its_sql_or_stands_out_of_line_is_seen() -> None:
    assert faults(_line("", upgrade="op.drop_table('a')")) == ["a_0002 does more than its SQL says"]
    assert faults(_line("", release="0.0.9")) == ["a_0002 is of an earlier release than the one before it"]
    (first, second) = _line("")
    assert faults([second, first]) != []


def test_the_wheel_holds_every_revision_with_its_statements() -> None:
    held = {one.distribution_path for one in WheelBuilder(str(ROOT)).recurse_included_files()}
    needed = [path.relative_to(ROOT).as_posix() for path in tracked_files() if "migrations" in path.parts[:-1]]
    needed = [path for path in needed if not path.startswith("tests/")]
    assert len(needed) >= 3 * len(EVERY_SET)
    assert set(needed) <= held
    for revisions in EVERY_SET:
        for name in revisions.known:
            files = [f"{name}.py", *(f"{name}.{dialect}.sql" for dialect in DIALECTS)]
            assert {(revisions.folder / file).relative_to(ROOT).as_posix() for file in files} <= held


def test_the_same_columns_are_in_both_dialects() -> None:
    """Columns of a database from before there were revisions are compared with those of one dialect."""
    for revisions in EVERY_SET:
        for name in revisions.known:
            (sqlite, postgres) = (_columns(revisions.folder / f"{name}.{dialect}.sql") for dialect in DIALECTS)
            assert sqlite == postgres


def _columns(file: Path) -> dict[str, list[str]]:
    tables = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)", file.read_text(), re.DOTALL)
    return {
        table: [words[0].strip('"') for line in body.splitlines() if (words := line.split()) and words[0] not in KEYS]
        for table, body in tables
    }


KEYS = {"PRIMARY", "CONSTRAINT", "UNIQUE"}


@pytest.mark.parametrize(
    ("revision", "standing"),
    [
        (None, Standing.UNMIGRATED),
        ("shop_0001", Standing.BEHIND),
        ("shop_0002", Standing.AT_HEAD),
        ("shop_0003", Standing.AHEAD),
    ],
)
def test_a_revision_is_before_at_or_beyond_the_newest_that_is_known(
    tmp_path: Path, revision: str | None, standing: Standing
) -> None:
    for name in ("shop_0001.py", "shop_0002.py", "shop_0002.sqlite.sql", "other_0007.py", "__init__.py"):
        (tmp_path / name).touch()
    assert Revisions("shop", tmp_path).standing(revision, "there") is standing


@pytest.mark.parametrize("revision", ["other_0002", "shop_2", "shop_00003", "0002", "", "shop_0000"])
def test_what_was_never_a_revision_of_the_set_is_refused(tmp_path: Path, revision: str) -> None:
    for name in ("shop_0001.py", "shop_0002.py"):
        (tmp_path / name).touch()
    with pytest.raises(StorageUnusable, match="there: alembic_version_shop says"):
        Revisions("shop", tmp_path).standing(revision, "there")
