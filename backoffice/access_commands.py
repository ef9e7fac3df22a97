"""The commands about who may see and do what, and about who did: for whoever sits at the machine.

Each imports what it runs only when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Data, Json, console, settings_of_a_dashboard
from .settings import Settings

Name = Annotated[str, typer.Argument(metavar="NAME")]
Role = Annotated[str, typer.Option("--role", metavar="viewer|analyst|operator|admin", help="What the account may do.")]
Api = Annotated[
    str, typer.Option("--for", metavar="dashboard|commerce", help="The API that it opens, where its scopes don't say.")
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Kept in the audit.")]


def add_groups(app: typer.Typer) -> None:
    users = typer.Typer(no_args_is_help=True, help="The dashboard's accounts.")
    tokens = typer.Typer(no_args_is_help=True, help="Tokens, by which programs show who they are.")
    audit = typer.Typer(no_args_is_help=True, help="Who did what, when and why.")
    of_groups: tuple[tuple[typer.Typer, Mapping[str, Callable[..., None]]], ...] = (
        (users, {"list": list_users, "add": add, "role": role, "reset-password": reset_password}),
        (users, {"disable": disable, "enable": enable}),
        (tokens, {"list": list_tokens, "add": add_token, "revoke": revoke}),
        (audit, {"list": list_audit, "verify": verify}),
    )
    for group, commands in of_groups:
        for name, command in commands.items():
            group.command(name)(command)
    app.add_typer(users, name="users")
    app.add_typer(tokens, name="tokens")
    app.add_typer(audit, name="audit")


def list_users(data: Data = None, json: Json = False) -> None:
    """Show the accounts: name, role, since when, and whether they are in use."""
    from .commands.users import users_json, users_table

    accounts = _ran(data, lambda office: office.accounts.all())
    if json:
        typer.echo(users_json(accounts))
    else:
        console().print(users_table(accounts))


def add(name: Name, data: Data = None, role: Role = "viewer", reason: Reason = "") -> None:
    """Add an account, and print the one-time password that its owner has to change at the first sign-in."""
    from .commands.users import at_the_machine
    from .sign_in.roles import role_named

    settings = settings_of_a_dashboard(data, begins=True)
    entry = at_the_machine(reason)
    password = _ran_with(settings, lambda office: office.accounts.add(name, role_named(role), entry))
    typer.echo(f"One-time password of {name.strip().lower()}: {password}")


def role(
    name: Name, role: Annotated[str, typer.Argument(metavar="ROLE")], data: Data = None, reason: Reason = ""
) -> None:
    """Give an account another role. Its sessions end."""
    from .commands.users import at_the_machine
    from .sign_in.roles import role_named

    entry = at_the_machine(reason)
    _ran(data, lambda office: office.accounts.give_role(name, role_named(role), entry))
    typer.echo(f"{name.strip().lower()} has the role {role}.")


def reset_password(name: Name, data: Data = None, reason: Reason = "") -> None:
    """Print a one-time password for an account, in place of its own. Its sessions end."""
    from .commands.users import at_the_machine

    entry = at_the_machine(reason)
    password = _ran(data, lambda office: office.accounts.reset_password(name, entry))
    typer.echo(f"One-time password of {name.strip().lower()}: {password}")


def disable(name: Name, data: Data = None, reason: Reason = "") -> None:
    """Let nobody in by an account any more. Its sessions end."""
    from .commands.users import at_the_machine

    entry = at_the_machine(reason)
    _ran(data, lambda office: office.accounts.disable(name, entry))
    typer.echo(f"{name.strip().lower()} is disabled.")


def enable(name: Name, data: Data = None, reason: Reason = "") -> None:
    """Let an account's owner in again."""
    from .commands.users import at_the_machine

    entry = at_the_machine(reason)
    _ran(data, lambda office: office.accounts.enable(name, entry))
    typer.echo(f"{name.strip().lower()} is in use again.")


def list_tokens(data: Data = None) -> None:
    """Show the tokens of both APIs: how each begins, what it may, until when, and when it was last used."""
    from .commands.tokens import listed, tokens_table

    console().print(tokens_table(_ran(data, listed)))


def add_token(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="Who uses it.")],
    data: Data = None,
    *,
    scope: Annotated[list[str], typer.Option("--scope", metavar="SCOPE", help="What it may. May be repeated.")],
    api: Api = "",
    days: Annotated[int, typer.Option(metavar="N", help="How long it is good.")] = 90,
    reason: Reason = "",
) -> None:
    """Make a token and print it, this once.

    Scopes: figures:read, status:read, log:read, audit:read, pipeline:pause (dashboard); commerce, events:write
    (commerce API); metrics:read (either).
    """
    from .commands.tokens import made
    from .commands.users import at_the_machine

    settings = settings_of_a_dashboard(data, begins=True)
    entry = at_the_machine(reason)
    typer.echo(_ran_with(settings, lambda office: made(office, title, scope, api, days, entry)))


def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its beginning, as `tokens list` shows it.")],
    data: Data = None,
    reason: Reason = "",
) -> None:
    """Let a token open nothing any more. A process that knows it may take it for five seconds yet."""
    from .commands.tokens import revoked
    from .commands.users import at_the_machine

    entry = at_the_machine(reason)
    _ran(data, lambda office: revoked(office, token, entry))
    typer.echo(f"{token} is revoked.")


def list_audit(
    data: Data = None,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, max=10_000, help="The newest so many.")] = 50,
    json: Json = False,
) -> None:
    """Show who did what, newest first: in the back office, and in the commerce database."""
    from .commands.audit import audit_json, audit_table, newest

    rows = _ran(data, lambda office: newest(office, most))
    if json:
        typer.echo(audit_json(rows))
    else:
        console().print(audit_table(rows))


def verify(
    data: Data = None,
    noted: Annotated[
        list[str] | None,
        typer.Option("--noted", metavar="PLACE:ROW:HASH", help="A last row that an earlier run told. May be repeated."),
    ] = None,
) -> None:
    """Walk the chains of the audit. Exit code 1 with the first row that was altered, removed or moved."""
    from .commands.audit import verdicts

    found = _ran(data, lambda office: verdicts(office, noted or []))
    for one in found:
        typer.echo(one.sentence, err=not one.is_whole)
    raise typer.Exit(0 if all(one.is_whole for one in found) else 1)


def _ran(data: Path | None, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    return _ran_with(settings_of_a_dashboard(data), work)


def _ran_with(settings: Settings, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    from .commands.users import with_office

    return asyncio.run(with_office(settings, work))
