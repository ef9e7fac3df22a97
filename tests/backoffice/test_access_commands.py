"""The commands for who sits at the machine: accounts, tokens and the audit."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backoffice.__main__ import command_line_app
from backoffice.commands.first_account import demo_way_in, first_way_in
from backoffice.failures import CommandFailed
from backoffice.settings import Settings
from backoffice.sign_in.account import Caller
from backoffice.sign_in.desk import api_wants_tokens, gate_of, opened_office, probes_are_open
from backoffice.sign_in.roles import Role
from backoffice.sign_in.sign_in import NotSignedIn

HERE = Caller("192.0.2.1")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "shop"


def ran(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command_line_app(), [*arguments, "--data", str(data)])


def said(data: Path, *arguments: str) -> str:
    done = ran(data, *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refusal(data: Path, *arguments: str) -> str:
    done = ran(data, *arguments)
    assert isinstance(done.exception, CommandFailed), done.output
    assert done.exception.code == 2
    return str(done.exception)


def settings(data: Path, **more: object) -> Settings:
    return Settings.model_validate({"data_dir": data, **more})


def let_in(data: Path, name: str, password: str) -> Role:
    return asyncio.run(signs_in(data, name, password))


async def holders(data: Path, text: str) -> dict[str, bool]:
    """API → whether it takes the token."""
    async with opened_office(settings(data)) as office:
        return {api: await tokens.holder(text) is not None for api, tokens in office.tokens.items()}


async def signs_in(data: Path, name: str, password: str) -> Role:
    async with opened_office(settings(data)) as office:
        return (await office.sign_in.sign_in(name, password, HERE)).role


def test_an_account_is_added_changed_and_let_in_by_a_password_of_its_own(data: Path) -> None:
    made = said(data, "users", "add", "Ada", "--role", "admin", "--reason", "first day")
    password = made.removeprefix("One-time password of ada: ").strip()
    assert let_in(data, "ada", password) is Role.ADMIN
    said(data, "users", "add", "bob")
    said(data, "users", "role", "bob", "operator")
    given = said(data, "users", "reset-password", "bob").split()[-1]
    assert let_in(data, "bob", given) is Role.OPERATOR
    said(data, "users", "disable", "bob")
    with pytest.raises(NotSignedIn):
        let_in(data, "bob", given)
    said(data, "users", "enable", "bob")
    listed = json.loads(said(data, "users", "list", "--json"))
    assert [(one["name"], one["role"], one["state"]) for one in listed] == [
        ("ada", "admin", "one-time password"),
        ("bob", "operator", "one-time password"),
    ]
    assert "bob" in said(data, "users", "list")
    rows = json.loads(said(data, "audit", "list", "--json"))
    assert {row["who"].partition(" (")[0] for row in rows if row["what"].startswith("account.")} == {"command line"}
    assert rows[-1]["reason"] == "first day"
    assert password not in json.dumps(rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("users", "add", "a b"), "a name is 1 to 64"),
        (("users", "add", "ada"), "there is an account ada already."),
        (("users", "add", "eve", "--role", "king"), "no role 'king'; there are viewer, analyst, operator, admin."),
        (("users", "role", "ada", "viewer"), "ada is the last admin; make another one first."),
        (("users", "disable", "nobody"), "there is no account nobody."),
        (("tokens", "add", "till", "--scope", "everything"), "no scope 'everything'"),
        (("tokens", "add", "till", "--scope", "commerce", "--for", "dashboard"), "no scope 'commerce'"),
        (("tokens", "add", "till", "--scope", "commerce", "--for", "x"), "no API 'x'"),
        (("tokens", "add", "till", "--scope", "commerce", "--days", "0"), "1 to 3650 days"),
        (("tokens", "revoke", "cht_000000000000"), "no token that is good"),
        (("audit", "verify", "--noted", "x"), "'x' is none of backoffice:ROW:HASH, commerce:ROW:HASH."),
    ],
)
def test_what_can_not_be_is_one_line_and_exit_code_2(data: Path, arguments: tuple[str, ...], words: str) -> None:
    said(data, "users", "add", "ada", "--role", "admin")
    line = refusal(data, *arguments)
    assert words in line
    assert "\n" not in line


def test_looking_makes_no_shop(data: Path) -> None:
    for arguments in (("users", "list"), ("tokens", "list"), ("audit", "list"), ("audit", "verify")):
        assert "Nothing has been started here" in str(ran(data, *arguments).exception)
    assert not data.exists()


def test_a_token_is_made_for_the_api_that_its_scope_belongs_to(data: Path) -> None:
    texts = {
        "commerce": said(data, "tokens", "add", "till", "--scope", "commerce").strip(),
        "dashboard": said(data, "tokens", "add", "grafana", "--scope", "metrics:read", "--days", "7").strip(),
    }
    other = said(data, "tokens", "add", "prometheus", "--scope", "metrics:read", "--for", "commerce").strip()
    assert asyncio.run(holders(data, texts["commerce"])) == {"commerce": True, "dashboard": False}
    assert asyncio.run(holders(data, texts["dashboard"])) == {"commerce": False, "dashboard": True}
    assert asyncio.run(holders(data, other)) == {"commerce": True, "dashboard": False}
    listed = said(data, "tokens", "list")
    assert "till" in listed
    assert not any(text in listed for text in texts.values())
    said(data, "tokens", "revoke", texts["commerce"][:16])
    assert not any(asyncio.run(holders(data, texts["commerce"])).values())
    assert "token.revoked" in said(data, "audit", "list")


def test_an_audit_that_was_altered_ends_with_1_and_names_the_row(data: Path) -> None:
    for name in ("ada", "bob", "carol"):
        said(data, "users", "add", name)
    whole = said(data, "audit", "verify")
    (note,) = re.findall(r"To note elsewhere: (backoffice:3:[0-9a-f]{64})", whole)
    assert "backoffice: 3 rows, all as they were written." in whole
    assert "commerce: 0 rows, all as they were written." in whole
    said(data, "audit", "verify", "--noted", note)
    with closing(sqlite3.connect(data / "backoffice.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER audit_is_not_altered")
        connection.execute("UPDATE audit SET target = 'eve' WHERE number = 2")
    done = ran(data, "audit", "verify")
    assert done.exit_code == 1
    assert "backoffice: row 2 was altered" in done.stderr
    assert "Rows 1 to 1 are whole." in done.stderr


async def test_the_first_admin_is_told_to_a_terminal_only(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = settings(data)
    assert await first_way_in(settings(data, sign_in="off")) == ""
    assert "countinghouse users add NAME --role admin" in await first_way_in(shop)
    async with opened_office(shop) as office:
        assert await office.accounts.all() == []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    told = await first_way_in(shop)
    assert await signs_in(data, "admin", told.split()[-1]) is Role.ADMIN
    assert "if that is lost: countinghouse users reset-password admin" in await first_way_in(shop)
    async with opened_office(shop) as office:
        who = await office.sign_in.sign_in("admin", told.split()[-1], HERE)
        await office.sign_in.change_password(who, told.split()[-1], "a password of one's own", HERE)
    assert await first_way_in(shop) == ""


async def test_each_run_of_the_demo_has_a_link_of_its_own(data: Path) -> None:
    shop = settings(data)
    links = [await demo_way_in(shop) for _ in range(2)]
    assert links[0].startswith(f"{shop.dashboard_url}/sign-in?name=demo&password=")
    (old, new) = (link.rpartition("=")[2] for link in links)
    assert await signs_in(data, "demo", new) is Role.ADMIN
    with pytest.raises(NotSignedIn):
        await signs_in(data, "demo", old)


@pytest.mark.parametrize(
    ("host", "chosen", "wants", "opens"),
    [
        ("127.0.0.1", {}, False, True),
        ("0.0.0.0", {}, True, False),
        ("127.0.0.1", {"api_tokens": "required", "open_probes": "off"}, True, False),
        ("0.0.0.0", {"api_tokens": "off", "open_probes": "on"}, False, True),
    ],
)
async def test_tokens_are_wanted_where_others_may_come_unless_a_setting_says_otherwise(
    data: Path, host: str, chosen: dict[str, str], wants: bool, opens: bool
) -> None:
    shop = settings(data, api_host=host, dashboard_host=host, **chosen)
    assert api_wants_tokens(shop) is wants
    assert probes_are_open(shop, shop.api_host) is opens
    async with opened_office(shop) as office:
        gate = gate_of(shop, office)
    assert gate.site.open_probes is opens
    assert gate.site.is_local is (host == "127.0.0.1")
    assert gate.office is not None


@pytest.mark.parametrize("value", ["shop.example", "ftp://a", "https://", "https://a/b", "https://u@a", "x:y"])
def test_a_public_address_is_a_host_and_nothing_more(data: Path, value: str) -> None:
    with pytest.raises(ValueError, match="must be http://host or https://host"):
        settings(data, public_url=value)
