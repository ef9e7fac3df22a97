"""The dashboard's place on the network: the address that people know, and what follows for cookies and origins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie

from backoffice.problems import request_id

from .account import Caller

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """`public_url` is the address of a proxy that stands in front; with https cookies are for encrypted ways only."""

    public_url: str = ""
    port: int = 8100
    is_local: bool = True
    """Whether it listens on an address of this machine's own."""
    open_probes: bool = True

    @property
    def is_secure(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def cookie_name(self) -> str:
        """Browsers tell hosts apart, not ports: two dashboards of one machine must not take each other's sessions."""
        return "__Host-countinghouse" if self.is_secure else f"countinghouse-{self.port}"

    @property
    def form_cookie_name(self) -> str:
        return f"{self.cookie_name}-form"

    @property
    def host(self) -> str:
        return urlsplit(self.public_url).netloc.lower()

    def cookie(self, name: str, value: str) -> Cookie:
        return Cookie(name, value=value, path="/", httponly=True, secure=self.is_secure, samesite="lax")

    def no_cookie(self, name: str) -> Cookie:
        return Cookie(name, value="", max_age=0, path="/", httponly=True, secure=self.is_secure, samesite="lax")

    def is_own_origin(self, request: AnyRequest) -> bool:
        """Whether it is a page of ours that sends, as far as the browser says who it is."""
        origin = request.headers.get("origin")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        return origin is None or origin.lower() in self._origins(request)

    def _origins(self, request: AnyRequest) -> set[str]:
        own = {f"http://{request.headers.get('host', '').lower()}"}
        parts = urlsplit(self.public_url)
        return own | ({f"{parts.scheme}://{parts.netloc}".lower()} if self.public_url else set())

    def caller(self, request: AnyRequest) -> Caller:
        browser = request.headers.get("user-agent", "")
        return Caller(self._address(request), browser, request_id(request.scope))

    def _address(self, request: AnyRequest) -> str:
        """A proxy on this machine says who it speaks for, and nobody else is asked."""
        if self.public_url and self.is_local:
            named = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
            if named:
                return named[:64]
        return request.client.host if request.client else ""
