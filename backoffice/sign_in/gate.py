"""The gate in front of every route: who calls, may they, and do they mean it.

A person comes with a session's cookie, a program with a token. What changes something comes from a page of ours and
carries the token of a form of this session, so no other site can have it sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from backoffice.problems import is_for_programs
from backoffice.saved_views import SavedViews
from backoffice.whole_number import whole_number
from event_store.audit import Audit
from event_store.tokens import Token, Tokens

from .access import ACCESS, NOBODY, Access, Visitor
from .account import SignedIn, form_token
from .accounts import Accounts
from .sign_in import SignIn
from .site import AnyRequest, Site

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_FIELD = "form_token"
FORM_HEADER = "x-form-token"
FORM = "application/x-www-form-urlencoded"
BY_ITSELF = "x-figures-version"
"""Of requests that a page makes without anybody doing something: they keep no session alive."""


@dataclass(frozen=True, slots=True)
class Office:
    """What stands behind the gate."""

    sign_in: SignIn
    accounts: Accounts
    tokens: Mapping[str, Tokens]
    """Of each API that has some, by its name."""
    audits: Mapping[str, Audit]
    """Of each database, by its name."""
    views: SavedViews


DASHBOARD = "dashboard"
COMMERCE = "commerce"


class Gate(ASGIMiddleware):
    """Without an `office` sign-in is off: everybody may everything."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, office: Office | None, site: Site) -> None:
        self.office = office
        self.site = site

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request: AnyRequest = scope["litestar_app"].request_class(scope=scope, receive=receive)
        if request.method != "OPTIONS":
            access = _declared(scope)
            visitor = await self._visitor(request, access)
            scope["user"] = visitor
            self._admit(request, access, visitor)
            if request.method not in SAFE and (visitor is None or visitor.token is None):
                await self._check_meant(request, visitor, access.most_form_bytes)
        await next_app(scope, receive, send)

    async def _visitor(self, request: AnyRequest, access: Access) -> Visitor | None:
        if self.office is None:
            return NOBODY
        if access.is_alike_for_all or (access.is_probe and self.site.open_probes):
            return None
        if bearer := request.headers.get("authorization"):
            return await self._program(self.office, bearer)
        text = request.cookies.get(self.site.cookie_name)
        found = await self.office.sign_in.who(text, is_active=_is_active(request)) if text else None
        return None if found is None else visitor_of(found)

    async def _program(self, office: Office, bearer: str) -> Visitor:
        (kind, _, text) = bearer.partition(" ")
        token = await office.tokens[DASHBOARD].holder(text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise HTTPException("That token is not good, or no more.", status_code=401, headers=headers)
        return _program_of(token)

    def _admit(self, request: AnyRequest, access: Access, visitor: Visitor | None) -> None:
        """Raises HTTPException."""
        if access.role is None or (access.is_probe and self.site.open_probes):
            return
        if visitor is None:
            raise _sign_in_first(request)
        if visitor.token is not None:
            _check_scope(access, visitor.token)
        elif not visitor.role.may(access.role):
            raise HTTPException(f"This is for the role {access.role}; yours is {visitor.role}.", status_code=403)
        elif visitor.signed_in and visitor.signed_in.account.must_change and not access.with_given_password:
            raise _choose_a_password_first(request)

    async def _check_meant(self, request: AnyRequest, visitor: Visitor | None, most_form_bytes: int) -> None:
        """Raises HTTPException for what another site may have sent."""
        if not self.site.is_own_origin(request):
            raise HTTPException(
                "This was sent by another site. (Behind a proxy: set COUNTINGHOUSE_PUBLIC_URL.)", status_code=403
            )
        if self.office is None:
            return
        expected = self.form_token(request, visitor)
        given = request.headers.get(FORM_HEADER) or await _field(request, most_form_bytes)
        if not expected or not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise HTTPException("This form is out of date: go back, load the page again, and send it.", status_code=403)

    def form_token(self, request: AnyRequest, visitor: Visitor | None) -> str:
        """What a form of this visitor's carries; of somebody not signed in it is bound to a cookie of its own."""
        if visitor is not None:
            return visitor.form_token
        text = request.cookies.get(self.site.form_cookie_name)
        return form_token(text) if text else ""


def visitor_of(who: SignedIn) -> Visitor:
    return Visitor(who.name, who.role, who.form_token, signed_in=who)


def _program_of(token: Token) -> Visitor:
    return Visitor(f"token {token.shown}", NOBODY.role, token=token)


def _declared(scope: Scope) -> Access:
    access = scope["route_handler"].opt.get(ACCESS)
    if not isinstance(access, Access):
        raise HTTPException("This route says of nobody that they may use it.", status_code=403)
    return access


def _check_scope(access: Access, token: Token) -> None:
    if access.scope is None:
        raise HTTPException("This is for people, not for programs.", status_code=403)
    if access.scope not in token.scopes:
        headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{access.scope}"'}
        raise HTTPException(f"The token needs the scope {access.scope}.", status_code=403, headers=headers)


def _is_active(request: AnyRequest) -> bool:
    return BY_ITSELF not in request.headers and request.scope["path"] != "/live"


def _is_program(request: AnyRequest) -> bool:
    return is_for_programs(request.scope["path"]) or not _is_active(request)


def _sign_in_first(request: AnyRequest) -> HTTPException:
    if _is_program(request):
        return HTTPException("Sign in, or come with a token.", status_code=401, headers={"WWW-Authenticate": "Bearer"})
    place = request.scope["path"]
    if query := request.scope["query_string"].decode("latin-1"):
        place += f"?{query}"
    asked = urlencode({"next": place}) if request.method in SAFE and place != "/" and len(place) < 2000 else ""
    location = f"/sign-in?{asked}" if asked else "/sign-in"
    return HTTPException("Sign in first.", status_code=303, headers={"Location": location})


def _choose_a_password_first(request: AnyRequest) -> HTTPException:
    if _is_program(request):
        return HTTPException("Choose a password of your own first.", status_code=403)
    return HTTPException("Choose a password of your own first.", status_code=303, headers={"Location": "/account"})


async def _field(request: AnyRequest, most_bytes: int) -> str:
    """The form's token among its fields; the form is kept for the route."""
    if not request.headers.get("content-type", "").startswith(FORM):
        return ""
    trouble = HTTPException("A form of this size is none of ours.", status_code=413)
    if whole_number(request.headers.get("content-length", ""), 18, trouble) > most_bytes:
        raise trouble
    form: Mapping[str, Any] = await request.form()
    value = form.get(FORM_FIELD, "")
    return value if isinstance(value, str) else ""
