"""The settings of Kafka: what goes together, and that no password is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from backoffice.failures import CommandFailed
from backoffice.kafka_settings import kafka_options
from backoffice.settings import Settings, SettingsError, read_settings
from event_store.connect import open_log
from event_store.kafka_options import KafkaOptions, KafkaSecurity

CANARY = "canary with spaces "
AWAY = "kafka://kafka-1.example:9093,kafka-2.example:9093/shop."


def _set(monkeypatch: pytest.MonkeyPatch, **kafka: str) -> None:
    for name, value in kafka.items():
        monkeypatch.setenv(f"COUNTINGHOUSE_{name}", value)


def _problems(monkeypatch: pytest.MonkeyPatch, **kafka: str) -> list[str]:
    _set(monkeypatch, **kafka)
    with pytest.raises(SettingsError) as refusal:
        read_settings()
    return refusal.value.problems


@pytest.mark.parametrize(
    "kafka",
    [
        {"KAFKA_SECURITY": "sasl_ssl", "KAFKA_USERNAME": "shop", "KAFKA_PASSWORD": "canary"},
        {"KAFKA_SECURITY": "ssl"},
        {"ALLOW_PLAINTEXT": "true"},
    ],
)
def test_another_machine_is_spoken_to_encrypted_or_where_plain_text_is_meant(
    monkeypatch: pytest.MonkeyPatch, kafka: dict[str, str]
) -> None:
    _set(monkeypatch, LOG_URL=AWAY, **kafka)
    assert read_settings().log_url == AWAY


@pytest.mark.parametrize("security", ["plaintext", "sasl_plaintext"])
def test_plain_text_does_not_leave_this_machine_by_itself(monkeypatch: pytest.MonkeyPatch, security: str) -> None:
    credentials = {"KAFKA_USERNAME": "shop", "KAFKA_PASSWORD": "canary"}
    (problem,) = _problems(monkeypatch, LOG_URL=AWAY, KAFKA_SECURITY=security, **credentials)
    assert problem.startswith("COUNTINGHOUSE_LOG_URL: names kafka-1.example:9093, and what is sent would be plain text")
    assert "COUNTINGHOUSE_ALLOW_PLAINTEXT=true" in problem


def test_whoever_opens_the_log_by_itself_is_refused_likewise() -> None:
    with pytest.raises(ValueError, match="plain text"):
        open_log(AWAY)


def test_a_password_needs_a_user_and_comes_from_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    (user, password) = _problems(monkeypatch, KAFKA_SECURITY="sasl_ssl")
    assert user == "COUNTINGHOUSE_KAFKA_USERNAME: must name a user, since COUNTINGHOUSE_KAFKA_SECURITY is sasl_ssl"
    assert password.startswith("COUNTINGHOUSE_KAFKA_PASSWORD_FILE: or COUNTINGHOUSE_KAFKA_PASSWORD must be set")
    both = {"KAFKA_PASSWORD": CANARY, "KAFKA_PASSWORD_FILE": "/run/secrets/kafka"}
    (problem,) = _problems(monkeypatch, KAFKA_USERNAME="shop", **both)
    assert problem.startswith("COUNTINGHOUSE_KAFKA_PASSWORD_FILE: must not be set beside COUNTINGHOUSE_KAFKA_PASSWORD")
    assert "canary" not in problem


def test_more_replicas_in_sync_than_there_are_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = _problems(monkeypatch, KAFKA_REPLICATION="2", KAFKA_MIN_INSYNC="3")
    assert problem.startswith("COUNTINGHOUSE_KAFKA_MIN_INSYNC: must be at most COUNTINGHOUSE_KAFKA_REPLICATION")


def test_the_options_are_what_the_settings_say_and_the_password_is_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{CANARY}\n")
    _set(
        monkeypatch,
        KAFKA_SECURITY="sasl_ssl",
        KAFKA_USERNAME="shop",
        KAFKA_PASSWORD_FILE=str(file),
        KAFKA_CA_FILE="ca.pem",
        KAFKA_REPLICATION="3",
        KAFKA_MIN_INSYNC="2",
    )
    monkeypatch.chdir(tmp_path)
    security = KafkaSecurity("sasl_ssl", username="shop", password=CANARY, ca_file=str(tmp_path / "ca.pem"))
    assert kafka_options(read_settings()) == KafkaOptions(replication=3, min_insync=2, security=security)
    assert "canary" not in repr(security)


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings(kafka_password_file=str(tmp_path / "missing"))
    with pytest.raises(CommandFailed, match=r"COUNTINGHOUSE_KAFKA_PASSWORD_FILE: .*missing can't be read") as failure:
        kafka_options(settings)
    assert failure.value.code == 2


def test_settings_show_no_password() -> None:
    assert "canary" not in repr(Settings(kafka_password=CANARY))  # type: ignore[arg-type]
