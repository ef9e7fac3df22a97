"""The settings about who may see and do what."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class SignInSettings(BaseSettings):
    sign_in: Literal["on", "off"] = Field(
        "on",
        description="Whether the dashboard asks who somebody is. `off` only where it listens on this machine's own "
        "address: whoever is at the machine may everything then.",
    )
    public_url: str = Field(
        "",
        description="The address by which people reach the dashboard through a proxy, as `https://shop.example`. With "
        "https its cookies are for encrypted ways only; it is answered to, and forms may come from it.",
        json_schema_extra={"default_text": "*none*"},
    )
    session_idle_minutes: float = Field(
        30.0, gt=0, le=1440, description="Minutes after which a session ends that nobody used."
    )
    session_hours: float = Field(12.0, gt=0, le=720, description="Hours after which any session ends.")
    open_probes: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether the dashboard's and the API's `/livez`, `/readyz` and `/metrics` answer without a token "
        "of the scope `metrics:read`. `auto`: where they listen on this machine's own address.",
    )
    api_tokens: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether the commerce API wants a token from who calls it. `auto`: not where it listens on this "
        "machine's own address, but on any other.",
    )
    api_token: SecretStr = Field(
        SecretStr(""),
        description="The token that `import` and `shoppers` show the commerce API.",
        json_schema_extra={"default_text": "*none*"},
    )

    @field_validator("public_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            is_good = not value or (parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        except ValueError:
            is_good = False
        if not is_good or (value and (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)):
            raise ValueError("must be http://host or https://host, with a port perhaps and no path")
        return value.rstrip("/")
