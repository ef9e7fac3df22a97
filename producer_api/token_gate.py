"""The gate of the commerce API, where it wants to know who calls: a token in `Authorization: Bearer …`."""

from __future__ import annotations

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from event_store.tokens import Scope as TokenScope
from event_store.tokens import Tokens

from .refusals import NOT_IN_SCOPE, UNAUTHENTICATED, Refused

PROBES = frozenset({"/livez", "/readyz", "/metrics"})
INTAKE = "/v1/events"


class TokenGate(ASGIMiddleware):
    """`wants_tokens` is for calls, `open_probes` for who watches the process."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, tokens: Tokens, *, wants_tokens: bool, open_probes: bool) -> None:
        self._tokens = tokens
        self._wants_tokens = wants_tokens
        self._open_probes = open_probes

    @property
    def asks(self) -> bool:
        """Whether there is anything that it asks a token for."""
        return self._wants_tokens or not self._open_probes

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        needed = self._needed(scope["path"])
        if needed:
            await self._check(MutableScopeHeaders(scope).get("authorization", ""), needed)
        await next_app(scope, receive, send)

    def _needed(self, path: str) -> frozenset[str]:
        """Any of these scopes will do; none where nothing is asked for."""
        if path in PROBES:
            return frozenset() if self._open_probes else frozenset({TokenScope.METRICS})
        if not self._wants_tokens:
            return frozenset()
        return frozenset({TokenScope.COMMERCE, TokenScope.EVENTS} if path == INTAKE else {TokenScope.COMMERCE})

    async def _check(self, authorization: str, needed: frozenset[str]) -> None:
        """Raises Refused."""
        (kind, _, text) = authorization.partition(" ")
        token = await self._tokens.holder(text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise Refused(UNAUTHENTICATED, "Send a good token as `Authorization: Bearer cht_…`.")
        if token.scopes.isdisjoint(needed):
            raise Refused(NOT_IN_SCOPE, f"The token needs the scope {' or '.join(sorted(needed))}.")
