"""What a route asks of whoever calls it. A route that declares nothing is refused to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from event_store.tokens import Scope, Token

from .account import SignedIn
from .roles import Role

MOST_FORM_BYTES = 65_536
ACCESS = "access"
"""Where a route declares it, among its options."""


@dataclass(frozen=True, slots=True)
class Access:
    """`role` is None for a route that is everybody's; `scope` is what a program's token needs, None where none does."""

    role: Role | None
    scope: Scope | None = None
    is_probe: bool = False
    """Whether it is for who watches the process: open on this machine, and elsewhere where a setting says so."""
    with_given_password: bool = False
    """Whether somebody may use it who has yet to choose a password."""
    is_alike_for_all: bool = False
    """Whether it doesn't matter who calls, so that nobody is looked up."""
    most_form_bytes: int = MOST_FORM_BYTES
    """How large a form it takes."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who calls: a person with a session, a program with a token, or whoever sits at a machine without sign-in."""

    name: str
    role: Role
    form_token: str = ""
    signed_in: SignedIn | None = None
    token: Token | None = None

    def may(self, role: str) -> bool:
        return self.role.may(Role(role))


NOBODY = Visitor("nobody", Role.ADMIN)
"""Where sign-in is off: whoever is at the machine."""


def needs(
    role: Role,
    scope: Scope | None = None,
    *,
    with_given_password: bool = False,
    most_form_bytes: int = MOST_FORM_BYTES,
) -> Mapping[str, Any]:
    """The options of a route for people of a role, and for programs where there is a scope."""
    access = Access(role, scope, with_given_password=with_given_password, most_form_bytes=most_form_bytes)
    return {ACCESS: access}


def open_to_all(*, is_alike: bool = False) -> Mapping[str, Any]:
    return {ACCESS: Access(None, is_alike_for_all=is_alike)}


def probe() -> Mapping[str, Any]:
    return {ACCESS: Access(Role.VIEWER, Scope.METRICS, is_probe=True)}
