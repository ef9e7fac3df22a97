"""Which files of settings name a place to move to."""

from __future__ import annotations

from pathlib import Path

import pytest

from backoffice.commands.move import Move
from backoffice.databases import backoffice_database, commerce_database
from backoffice.failures import CommandFailed
from backoffice.settings import Settings, SettingsError
from backoffice.settings_file import read_settings_file
from event_store.crash_points import NO_CRASH


def _read(folder: Path, text: str) -> Settings:
    file = folder / "there.env"
    file.write_text(text)
    return read_settings_file(file, folder / "shop")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no setting: write a line such as COUNTINGHOUSE_LOG_URL=kafka://host:port"),
        ("LOG_URL=kafka://127.0.0.1:9", "has no setting"),
        ("COUNTINGHOUSE_LOGURL=kafka://127.0.0.1:9", "COUNTINGHOUSE_LOGURL is no setting; did you mean"),
        ("COUNTINGHOUSE_LOG_URL=kafka://nowhere", "COUNTINGHOUSE_LOG_URL: must be an address of Kafka"),
    ],
)
def test_a_file_without_usable_settings_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        _read(tmp_path, text)


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "there.env").write_bytes(b"COUNTINGHOUSE_LOG_URL=\xff")
    with pytest.raises(SettingsError, match=r"there\.env can't be read"):
        read_settings_file(tmp_path / "there.env", None)


def test_a_file_comes_before_the_environment_and_the_data_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_LOG_URL", "kafka://127.0.0.1:1")
    monkeypatch.setenv("COUNTINGHOUSE_TIME_ZONE", "Europe/London")
    found = _read(tmp_path, "COUNTINGHOUSE_LOG_URL='kafka://127.0.0.1:9/shop.'\nCOUNTINGHOUSE_TIME_ZONE=\n# a remark\n")
    assert found.log_url == "kafka://127.0.0.1:9/shop."
    assert found.time_zone == "Europe/London"
    assert found.data_dir == tmp_path / "shop"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("COUNTINGHOUSE_LOG_LEVEL=info", "there is nothing to move"),
        ("COUNTINGHOUSE_LOG_URL=sqlite:///elsewhere.db", "COUNTINGHOUSE_LOG_URL: a move goes from a file to kafka://"),
        (
            "COUNTINGHOUSE_BACKOFFICE_DB_URL=sqlite+aiosqlite:///elsewhere.db",
            r"COUNTINGHOUSE_BACKOFFICE_DB_URL: a move goes from a file to postgresql\+asyncpg://",
        ),
    ],
)
async def test_a_place_that_is_none_to_move_to_is_refused_before_anything_is_touched(
    tmp_path: Path, text: str, words: str
) -> None:
    (old, new) = (Settings(data_dir=tmp_path / "shop"), _read(tmp_path, text))
    (here, there) = ((commerce_database(one), backoffice_database(one)) for one in (old, new))
    with pytest.raises(CommandFailed, match=words) as refused:
        await Move(old, new, here, there, print, NO_CRASH).run()
    assert refused.value.code == 2
    assert not old.data_dir.exists()
