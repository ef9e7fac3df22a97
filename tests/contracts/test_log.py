"""What every log back end promises (event_store/log.py)."""

from __future__ import annotations

import asyncio

import pytest

from event_store.errors import HistoryLost, RecordRefused, TopicMismatch, UnknownTopic
from event_store.log import Bounds, Log
from event_store.record import MAX_RECORD_BYTES, Record, TopicPartition

from .conftest import Elapse, Open

TP = TopicPartition("facts", 0)
OTHER = TopicPartition("facts", 1)


@pytest.fixture(autouse=True)
async def topic(log: Log) -> None:
    await log.create_topic("facts", 2)


def numbered(first: int, count: int, name: str = "record") -> list[Record]:
    return [Record(b"key", f"{name} {number}".encode()) for number in range(first, first + count)]


async def everything(log: Log, tp: TopicPartition = TP) -> list[bytes | None]:
    values: list[bytes | None] = []
    while len(batch := await log.read(tp, len(values))):
        values += batch.values
    return values


async def test_the_first_record_of_a_partition_has_offset_zero(log: Log) -> None:
    assert await log.append(TP, numbered(0, 3)) == 0
    assert await log.append(TP, numbered(3, 1)) == 3
    assert await log.append(OTHER, numbered(0, 1)) == 0


async def test_records_come_back_in_the_order_in_which_they_were_appended(log: Log) -> None:
    for first in (0, 5, 6):
        await log.append(TP, numbered(first, {0: 5, 5: 1, 6: 4}[first]))
    assert await everything(log) == [record.value for record in numbered(0, 10)]


async def test_a_read_begins_at_the_asked_offset_inside_what_one_call_appended(log: Log) -> None:
    await log.append(TP, numbered(0, 5))
    await log.append(TP, numbered(5, 5))
    batch = await log.read(TP, 3)
    assert (batch.tp, batch.first_offset, batch.next_offset) == (TP, 3, 10)
    assert list(batch.values) == [record.value for record in numbered(3, 7)]


@pytest.mark.parametrize("most", [1, 4, 5, 6, 9])
async def test_a_read_returns_no_more_records_than_asked_for(log: Log, most: int) -> None:
    await log.append(TP, numbered(0, 5))
    await log.append(TP, numbered(5, 5))
    batch = await log.read(TP, 1, most)
    assert list(batch.values) == [record.value for record in numbered(1, most)]
    assert len(batch.keys) == len(batch.appended_at_us) == len(batch) == most


async def test_a_read_at_the_end_is_empty(log: Log) -> None:
    assert len(await log.read(TP, 0)) == 0
    await log.append(TP, numbered(0, 2))
    batch = await log.read(TP, 2)
    assert (len(batch), batch.first_offset, batch.next_offset) == (0, 2, 2)


@pytest.mark.parametrize("offset", [-1, 3, 1_000_000])
async def test_an_offset_the_log_has_not_is_lost_history(log: Log, offset: int) -> None:
    await log.append(TP, numbered(0, 2))
    with pytest.raises(HistoryLost, match="facts/0"):
        await log.read(TP, offset)


async def test_partitions_read_in_one_go_have_what_a_read_of_each_has(log: Log) -> None:
    await log.append(TP, numbered(0, 5))
    await log.append(TP, numbered(5, 5))
    await log.append(OTHER, numbered(0, 3, "other"))
    found = await log.read_each({TP: 3, OTHER: 0}, 4)
    assert {tp: (one.tp, one.first_offset, list(one.values), list(one.keys)) for tp, one in found.items()} == {
        TP: (TP, 3, [record.value for record in numbered(3, 4)], [b"key"] * 4),
        OTHER: (OTHER, 0, [record.value for record in numbered(0, 3, "other")], [b"key"] * 3),
    }
    assert list(found[TP].appended_at_us) == list((await log.read(TP, 3, 4)).appended_at_us)


async def test_of_partitions_read_in_one_go_those_that_have_nothing_are_left_out(log: Log) -> None:
    await log.append(TP, numbered(0, 2))
    assert list(await log.read_each({TP: 0, OTHER: 0})) == [TP]
    assert await log.read_each({TP: 2, OTHER: 0}) == {}
    assert await log.read_each({}) == {}


@pytest.mark.parametrize("offset", [-1, 3, 1_000_000])
async def test_read_in_one_go_an_offset_the_log_has_not_gives_nothing_and_takes_nothing_from_others(
    log: Log, offset: int
) -> None:
    await log.append(TP, numbered(0, 2))
    await log.append(OTHER, numbered(0, 2))
    found = await log.read_each({TP: offset, OTHER: 0})
    assert {tp: (one.first_offset, len(one)) for tp, one in found.items()} == {TP: (offset, 0), OTHER: (0, 2)}


async def test_the_bounds_of_a_partition_are_its_oldest_and_its_next_offset(log: Log) -> None:
    await log.append(TP, numbered(0, 3))
    assert await log.bounds([TP, OTHER]) == {TP: Bounds(0, 3), OTHER: Bounds(0, 0)}
    assert await log.bounds([]) == {}


async def test_a_topic_that_was_never_made_is_unknown_to_every_call(log: Log) -> None:
    nowhere = TopicPartition("nowhere", 0)
    with pytest.raises(UnknownTopic):
        await log.append(nowhere, numbered(0, 1))
    with pytest.raises(UnknownTopic):
        await log.read(nowhere, 0)
    with pytest.raises(UnknownTopic):
        await log.bounds([TP, nowhere])


async def test_a_partition_beyond_the_last_is_unknown(log: Log) -> None:
    with pytest.raises(UnknownTopic):
        await log.append(TopicPartition("facts", 2), numbered(0, 1))


async def test_making_a_topic_again_changes_nothing(log: Log) -> None:
    await log.append(TP, numbered(0, 3))
    await log.create_topic("facts", 2)
    assert await log.topics() == {"facts": 2}
    assert len(await everything(log)) == 3


@pytest.mark.parametrize("partitions", [1, 3])
async def test_a_topic_with_other_partitions_is_refused_and_stays_as_it_was(log: Log, partitions: int) -> None:
    with pytest.raises(TopicMismatch, match="facts"):
        await log.create_topic("facts", partitions)
    assert await log.topics() == {"facts": 2}


async def test_a_topic_made_twice_at_once_is_made_once(log: Log, open_log: Open[Log]) -> None:
    second = await open_log()
    await asyncio.gather(log.create_topic("orders", 3), second.create_topic("orders", 3))
    assert dict(await log.topics()) == {"facts": 2, "orders": 3}


@pytest.mark.parametrize(
    "value",
    [None, b"", b"\x00", b"a\x00b\x00", b"\xff\xfe\xc0\x80", "äöü€".encode(), b"\n\r\n", b"x" * MAX_RECORD_BYTES],
    ids=["none", "empty", "nul", "nul inside", "no utf-8", "utf-8", "newlines", "largest"],
)
async def test_keys_and_values_come_back_as_they_were(log: Log, value: bytes | None) -> None:
    key = value if value is None or len(value) < 100 else b"key"
    await log.append(TP, [Record(b"before", b"before"), Record(key, value), Record(b"after", b"after")])
    batch = await log.read(TP, 0)
    assert list(batch.values) == [b"before", value, b"after"]
    assert list(batch.keys) == [b"before", key, b"after"]


async def test_a_record_can_have_a_key_without_a_value_and_a_value_without_a_key(log: Log) -> None:
    await log.append(TP, [Record(b"key", None), Record(None, b"value"), Record(None, None), Record(b"", b"")])
    batch = await log.read(TP, 0)
    assert list(zip(batch.keys, batch.values, strict=True)) == [
        (b"key", None),
        (None, b"value"),
        (None, None),
        (b"", b""),
    ]


async def test_a_record_that_can_never_be_taken_keeps_its_whole_call_out(log: Log) -> None:
    records = [*numbered(0, 2), Record(b"key", b"x" * 4 * 1024 * 1024), *numbered(3, 1)]
    with pytest.raises(RecordRefused) as refusal:
        await log.append(TP, records)
    assert refusal.value.index == 2
    assert await log.bounds([TP]) == {TP: Bounds(0, 0)}


async def test_appends_of_several_tasks_keep_each_calls_records_together_and_in_order(log: Log) -> None:
    async def writer(name: str) -> list[int]:
        return [await log.append(TP, numbered(3 * call, 3, name)) for call in range(10)]

    firsts = dict(zip("abc", await asyncio.gather(*map(writer, "abc")), strict=True))
    stored = await everything(log)
    assert len(stored) == 90
    for name, offsets in firsts.items():
        assert offsets == sorted(offsets)
        for call, first in enumerate(offsets):
            assert stored[first : first + 3] == [record.value for record in numbered(3 * call, 3, name)]


async def test_a_second_reader_sees_what_the_first_one_appended(log: Log, open_log: Open[Log]) -> None:
    second = await open_log()
    await log.append(TP, numbered(0, 3))
    assert await everything(second) == [record.value for record in numbered(0, 3)]
    assert await second.append(TP, numbered(3, 1)) == 3
    assert len(await everything(log)) == 4


async def test_each_record_says_when_the_log_took_it(log: Log, elapse: Elapse) -> None:
    await log.append(TP, numbered(0, 2))
    await elapse(0.02)
    await log.append(TP, numbered(2, 1))
    times = list((await log.read(TP, 0)).appended_at_us)
    assert times[0] == times[1]
    assert 15_000 <= times[2] - times[0] < 10_000_000
    assert times[0] > 1_600_000_000_000_000


async def test_an_append_wakes_who_waits(log: Log, open_log: Open[Log]) -> None:
    second = await open_log()
    await log.wait_for_news(0)
    waiting = asyncio.create_task(log.wait_for_news(10))
    await asyncio.sleep(0.01)
    await second.append(TP, numbered(0, 1))
    async with asyncio.timeout(1):
        assert await waiting


async def test_an_append_since_the_last_call_is_news_at_once(log: Log, open_log: Open[Log]) -> None:
    second = await open_log()
    await log.wait_for_news(0)
    await second.append(TP, numbered(0, 1))
    async with asyncio.timeout(1):
        assert await log.wait_for_news(10)


async def test_without_an_append_there_is_no_news(log: Log) -> None:
    await log.wait_for_news(0.01)
    assert not await log.wait_for_news(0.01)


async def test_noted_positions_are_those_noted_last_for_each_partition_and_group(log: Log) -> None:
    assert await log.noted_positions("figures") == {}
    await log.note_positions("figures", {TP: 3, OTHER: 5})
    await log.note_positions("figures", {TP: 7})
    await log.note_positions("issuer", {TP: 1})
    assert await log.noted_positions("figures") == {TP: 7, OTHER: 5}
    assert await log.noted_positions("issuer") == {TP: 1}
