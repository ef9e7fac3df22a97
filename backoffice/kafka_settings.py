"""The settings of Kafka as the log. Where the log is a file they mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from event_store.connect import KAFKA, check_way_to_kafka
from event_store.kafka_options import KafkaOptions, KafkaSecurity, Mechanism, Protection

from .failures import CommandFailed
from .network_settings import NetworkSettings, may_be_plain

NONE: dict[str, Any] = {"default_text": "none"}
SYSTEM: dict[str, Any] = {"default_text": "the system's authorities"}
PROTECTED = "COUNTINGHOUSE_KAFKA_SECURITY"


class KafkaSettings(NetworkSettings):
    kafka_replication: int = Field(
        1, ge=1, le=100, description="Replicas of the topics that `countinghouse topics apply` makes in Kafka."
    )
    kafka_min_insync: int = Field(
        1,
        ge=1,
        le=100,
        description="Replicas that must have a record before it counts as sent (`min.insync.replicas`). With 3 "
        "replicas, 2 of them lose nothing when a broker dies.",
    )
    kafka_security: Protection = Field(
        "plaintext",
        description="How Kafka is spoken to: `sasl_ssl` is encrypted and with a password, `ssl` encrypted, "
        "`sasl_plaintext` with a password alone, `plaintext` neither.",
    )
    kafka_mechanism: Mechanism = Field(
        "SCRAM-SHA-512", description="How the password is proved: `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`."
    )
    kafka_username: str = Field("", description="The user that Kafka knows us as.", json_schema_extra=NONE)
    kafka_password: SecretStr = Field(
        SecretStr(""), repr=False, description="The user's password.", json_schema_extra=NONE
    )
    kafka_password_file: str = Field(
        "", description="A file that holds the password, in place of it. Read at the start.", json_schema_extra=NONE
    )
    kafka_ca_file: str = Field(
        "",
        description="A PEM file of the authorities that brokers' certificates are checked against. The name in the "
        "certificate is always checked, too.",
        json_schema_extra=SYSTEM,
    )
    kafka_cert_file: str = Field(
        "", description="A PEM file of our own certificate, for brokers that want one.", json_schema_extra=NONE
    )
    kafka_key_file: str = Field(
        "", description="A PEM file of its key, where the certificate's file holds none.", json_schema_extra=NONE
    )
    kafka_fast_fetch: bool = Field(
        True,
        description="Whether record batches are taken as brokers send them, which is faster than a consumer "
        "of aiokafka. It is so only with a release of aiokafka that it was written for.",
    )

    @field_validator("kafka_min_insync")
    @classmethod
    def _at_most_all(cls, value: int, info: ValidationInfo) -> int:
        replicas = info.data.get("kafka_replication", value)
        if value > replicas:
            raise ValueError(f"must be at most COUNTINGHOUSE_KAFKA_REPLICATION, which is {replicas}")
        return value

    @field_validator("kafka_username")
    @classmethod
    def _named(cls, value: str, info: ValidationInfo) -> str:
        if not value and _protection(info).has_password:
            raise ValueError(f"must name a user, since {PROTECTED} is {_protection(info).protection}")
        return value

    @field_validator("kafka_password_file")
    @classmethod
    def _one_password(cls, value: str, info: ValidationInfo) -> str:
        """Said of the file, so that no password is ever in a message."""
        secret = info.data.get("kafka_password")
        given = bool(secret and secret.get_secret_value())
        if given and value:
            raise ValueError("must not be set beside COUNTINGHOUSE_KAFKA_PASSWORD")
        if not given and not value and _protection(info).has_password:
            raise ValueError(f"or COUNTINGHOUSE_KAFKA_PASSWORD must be set, since {PROTECTED} asks for a password")
        return value

    @field_validator("kafka_password_file", "kafka_ca_file", "kafka_cert_file", "kafka_key_file")
    @classmethod
    def _absolute_file(cls, value: str) -> str:
        return str(Path(value).expanduser().absolute()) if value else ""


def check_way_to_log(url: str, info: ValidationInfo) -> None:
    """Raises ValueError where the log is a Kafka elsewhere and what goes there would be plain text."""
    if url.startswith(KAFKA):
        check_way_to_kafka(url, _protection(info))


def _protection(info: ValidationInfo) -> KafkaSecurity:
    """As far as it is known while settings are read one after the other."""
    protection = info.data.get("kafka_security", "plaintext")
    return KafkaSecurity(protection, insecure_plaintext=may_be_plain(info))


def kafka_options(settings: KafkaSettings) -> KafkaOptions:
    """Raises CommandFailed where the password's file can't be read."""
    return KafkaOptions(
        replication=settings.kafka_replication,
        min_insync=settings.kafka_min_insync,
        security=KafkaSecurity(
            protection=settings.kafka_security,
            mechanism=settings.kafka_mechanism,
            username=settings.kafka_username,
            password=_password(settings),
            ca_file=settings.kafka_ca_file,
            cert_file=settings.kafka_cert_file,
            key_file=settings.kafka_key_file,
            insecure_plaintext=settings.allow_plaintext,
        ),
        fast_fetch=settings.kafka_fast_fetch,
    )


def _password(settings: KafkaSettings) -> str:
    if not settings.kafka_password_file:
        return settings.kafka_password.get_secret_value()
    try:
        return Path(settings.kafka_password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CommandFailed(
            f"COUNTINGHOUSE_KAFKA_PASSWORD_FILE: {settings.kafka_password_file} can't be read: {reason}.", 2
        ) from error
