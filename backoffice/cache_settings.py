"""The settings of the cache."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from .connect import check_cache_url
from .network_settings import NetworkSettings, may_be_plain


class CacheSettings(NetworkSettings):
    cache_url: str = Field(
        "memory://",
        repr=False,
        description="Where dashboards keep figures that they added up: `memory://` is each one's own memory; "
        "`redis://user:password@host:port/number`, or `rediss://…`, which is encrypted, is a server of Redis or Valkey "
        "that they share. Where it is away, empty or wrong the database answers.",
    )

    @field_validator("cache_url")
    @classmethod
    def _a_cache(cls, value: str, info: ValidationInfo) -> str:
        check_cache_url(value, plain_text=may_be_plain(info))
        return value
