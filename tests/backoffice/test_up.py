"""What `up` starts: the processes of a shop, their names and their ports."""

from __future__ import annotations

from pathlib import Path

from backoffice.commands.up import children
from backoffice.settings import Settings


def consumers(settings: Settings) -> dict[str, tuple[str, str]]:
    """Name of the process → the name of its leases, its port."""
    return {
        one.name: (one.environment["COUNTINGHOUSE_CONSUMER_NAME"], one.environment["COUNTINGHOUSE_CONSUMER_PORT"])
        for one in children(settings)
        if one.name.startswith("consumer")
    }


def test_a_shop_has_one_process_of_each_kind(tmp_path: Path) -> None:
    started = children(Settings(data_dir=tmp_path))
    assert [one.name for one in started] == ["api", "relay", "consumer", "archiver", "dashboard"]


def test_several_consumers_have_names_and_ports_of_their_own_that_outlive_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, consumers=3, consumer_port=8102)
    found = consumers(settings)
    assert list(found) == ["consumer-1", "consumer-2", "consumer-3"]
    assert len({name for name, _ in found.values()}) == 3
    assert [port for _, port in found.values()] == ["8102", "8103", "8104"]
    assert consumers(settings) == found


def test_consumers_without_a_port_have_none(tmp_path: Path) -> None:
    assert {port for _, port in consumers(Settings(data_dir=tmp_path, consumers=2)).values()} == {"0"}


def test_a_name_that_somebody_chose_stands(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, consumer_name="till", relay_name="post")
    names = {one.name: one.environment for one in children(settings)}
    assert names["consumer"]["COUNTINGHOUSE_CONSUMER_NAME"] == "till"
    assert names["relay"]["COUNTINGHOUSE_RELAY_NAME"] == "post"
