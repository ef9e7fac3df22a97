"""The first word with a Kafka cluster: whether a broker answers that we can work with, and else what to put right.

aiokafka's clients only say that they could not connect. So each of them is started after this has been asked, once a
broker, and what is wrong is said in one line that names the address and the setting.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.metadata import MetadataRequest

from .errors import LogUnavailable
from .kafka_options import KafkaSecurity
from .this_machine import is_this_machine

CONTACT_TIMEOUT_MS = 5000
"""How long one broker has for each answer."""
CLOSE_TIMEOUT_S = 1.0
BROUGHT_BY_3_0 = {2: 7, 9: 8, 10: 4, 65: 0, 66: 0}
"""API key → version: the requests that brokers of 3.0 understand and those of 2.8 don't (ListOffsets, OffsetFetch,
FindCoordinator, DescribeTransactions, ListTransactions). A broker does not tell its own version."""
OTHER_HOST = (62, 64)
"""OpenSSL's codes for a certificate of another host name or address (X509_V_ERR_HOSTNAME_MISMATCH, …_IP_ADDRESS_…)."""
WRONG_CREDENTIALS = (SaslAuthenticationFailed, AuthenticationFailedError)
WRONG_MECHANISM = (UnsupportedSaslMechanismError, AuthenticationMethodNotSupported, IllegalSaslStateError)


async def make_contact(bootstrap: str, security: KafkaSecurity) -> None:
    """Returns when one of the brokers answered as one that we can work with; those that are away are passed over.

    `bootstrap` is `host:port`, several with commas between them. Raises LogUnavailable.
    """
    options = {**connection_options(security), "request_timeout_ms": CONTACT_TIMEOUT_MS}
    away: list[str] = []
    for host, port, _ in collect_hosts(bootstrap, randomize=False):
        address = f"Kafka at {host}:{port}"
        try:
            return await _greet(host, port, options, security)
        except _Refused as refused:
            raise LogUnavailable(f"{address} {refused}") from refused
        except (OSError, KafkaError, TimeoutError) as error:
            refusal = _refusal(error, security)
            if refusal:
                raise LogUnavailable(f"{address} {refusal}") from error
            away.append(f"{address} {_absence(error)}")
    hung_up = any(_HUNG_UP in one for one in away)
    hint = _OTHER_SECURITY.format(security.protection) if hung_up else "Start it, or correct COUNTINGHOUSE_LOG_URL."
    raise LogUnavailable(f"{'; '.join(away)}. {hint}")


def connection_options(security: KafkaSecurity) -> dict[str, Any]:
    """What aiokafka wants to be told of `security`. Raises LogUnavailable where a file of it can't be read."""
    options: dict[str, Any] = {"security_protocol": security.protection.upper()}
    if security.has_password:
        options |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password,
        }
    if security.is_encrypted:
        options["ssl_context"] = _trust(security)
    return options


def _trust(security: KafkaSecurity) -> ssl.SSLContext:
    with _reading("COUNTINGHOUSE_KAFKA_CA_FILE", security.ca_file):
        context = ssl.create_default_context(cafile=security.ca_file or None)
    if security.cert_file:
        with _reading("COUNTINGHOUSE_KAFKA_CERT_FILE and …_KEY_FILE", security.cert_file):
            # Without a password of its own an encrypted key would be asked for at a terminal.
            context.load_cert_chain(security.cert_file, security.key_file or None, password="")
    return context


@contextmanager
def _reading(setting: str, file: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise LogUnavailable(f"{setting}: {file} can't be read as PEM ({_reason(error)}). Correct it.") from error


class _Refused(Exception):
    """The broker answers, and is none that we can work with."""


async def _greet(host: str, port: int, options: Mapping[str, Any], security: KafkaSecurity) -> None:
    connection = await create_conn(host, port, **options)
    try:
        _check_version((await connection.send(ApiVersionRequest())).api_versions)
        metadata = await connection.send(MetadataRequest([]))  # The first request that a password stands before.
    finally:
        await asyncio.wait([connection.close()], timeout=CLOSE_TIMEOUT_S)
    _check_way([broker[1] for broker in metadata.brokers], security)


def _check_version(api_versions: Iterable[tuple[int, int, int]]) -> None:
    newest = {key: highest for key, _, highest in api_versions}
    if not any(newest.get(key, -1) >= version for key, version in BROUGHT_BY_3_0.items()):
        raise _Refused("is older than 3.0, the oldest Kafka that this version works with. Upgrade it.")


def _check_way(hosts: Sequence[str], security: KafkaSecurity) -> None:
    """A broker may be reached through this machine and send its clients to another."""
    away = [host for host in hosts if not is_this_machine(host)]
    if away and not security.may_leave:
        raise _Refused(
            f"sends its clients to {away[0]}, and what they send would be plain text. Set "
            "COUNTINGHOUSE_KAFKA_SECURITY=sasl_ssl; or, where the network is trusted, "
            "COUNTINGHOUSE_ALLOW_PLAINTEXT=true."
        )


def _refusal(error: BaseException, security: KafkaSecurity) -> str | None:
    """What is wrong with how we come, and what to do; None for a broker that is away."""
    chain = list(_causes(error))
    if one := _first(chain, ssl.SSLCertVerificationError):
        return _untrusted(one, security)
    if one := _first(chain, WRONG_CREDENTIALS):
        return (
            f"does not take user {security.username!r} with this password ({one.args[0]}). "
            "Correct COUNTINGHOUSE_KAFKA_USERNAME and COUNTINGHOUSE_KAFKA_PASSWORD."
        )
    if _first(chain, WRONG_MECHANISM):
        return (
            f"takes no password by {security.mechanism} on this port. Correct COUNTINGHOUSE_KAFKA_MECHANISM, or "
            f"COUNTINGHOUSE_KAFKA_SECURITY, which is {security.protection}."
        )
    if one := _first(chain, ssl.SSLError):
        return f"and we don't agree on TLS ({_reason(one)}). {_OTHER_SECURITY.format(security.protection)}"
    return None


_OTHER_SECURITY = (
    "COUNTINGHOUSE_KAFKA_SECURITY is {}: correct it, or the port in COUNTINGHOUSE_LOG_URL, to what the listener there "
    "speaks; where that wants a certificate of ours, set COUNTINGHOUSE_KAFKA_CERT_FILE."
)
_HUNG_UP = "hangs up before it has answered"


def _untrusted(error: ssl.SSLCertVerificationError, security: KafkaSecurity) -> str:
    if error.verify_code in OTHER_HOST:
        return (
            f"has a certificate for another host ({error.verify_message}). In COUNTINGHOUSE_LOG_URL, and in the "
            "broker's advertised.listeners, use the name that the certificate bears."
        )
    authorities = security.ca_file or "the system's authorities"
    return (
        f"has a certificate that {authorities} can't vouch for ({error.verify_message}). "
        "Set COUNTINGHOUSE_KAFKA_CA_FILE to the authority that signed it."
    )


def _absence(error: BaseException) -> str:
    if isinstance(error, socket.gaierror):
        return "is a name that nobody knows"
    if isinstance(error, TimeoutError):
        return f"does not answer within {CONTACT_TIMEOUT_MS / 1000:g} s"
    if any(isinstance(one, ConnectionResetError | ConnectionAbortedError | EOFError) for one in _causes(error)):
        return _HUNG_UP
    return f"can't be reached ({_reason(error)})"


def _reason(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).splitlines()[0]


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first(chain: Iterable[BaseException], kind: Any) -> Any:
    return next((one for one in chain if isinstance(one, kind)), None)
