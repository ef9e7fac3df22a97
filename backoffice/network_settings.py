"""The setting about the way to servers on other machines."""

from __future__ import annotations

from pydantic import Field, ValidationInfo
from pydantic_settings import BaseSettings


class NetworkSettings(BaseSettings):
    """Comes before the settings that name servers: their checks look at it."""

    allow_plaintext: bool = Field(
        False,
        description="Lets what is sent to Kafka, PostgreSQL and the cache leave this machine in plain text. For a "
        "network that is yours alone, as between containers.",
    )


def may_be_plain(info: ValidationInfo) -> bool:
    return bool(info.data.get("allow_plaintext"))
