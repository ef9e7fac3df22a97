"""What Kafka is told beside its address: how topics are kept, and how its brokers and we trust each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Protection = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """A certificate's host name is always checked: there is no option for it."""

    protection: Protection = "plaintext"
    mechanism: Mechanism = "SCRAM-SHA-512"
    """How the password is proved, where `protection` has one."""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    """PEM of the authorities that brokers' certificates are checked against; empty for the system's."""
    cert_file: str = ""
    """PEM of our own certificate, for brokers that want one, with the ones that lead to its authority."""
    key_file: str = ""
    """PEM of its key; empty where `cert_file` holds it, too."""
    insecure_plaintext: bool = False
    """Lets plain text leave this machine."""

    @property
    def is_encrypted(self) -> bool:
        return self.protection in ("ssl", "sasl_ssl")

    @property
    def may_leave(self) -> bool:
        """Whether what is sent may go to another machine."""
        return self.is_encrypted or self.insecure_plaintext

    @property
    def has_password(self) -> bool:
        return self.protection in ("sasl_plaintext", "sasl_ssl")


PLAIN_TEXT = KafkaSecurity()
"""To this machine only."""


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    replication: int = 1
    """Of the topics that we make."""
    min_insync: int = 1
    """How many replicas have a record before its append is acknowledged."""
    security: KafkaSecurity = PLAIN_TEXT
    fast_fetch: bool = True
    """Whether record batches may be taken as brokers send them, where this aiokafka is one that we know."""


ONE_BROKER = KafkaOptions()
"""On this machine, without a password."""
