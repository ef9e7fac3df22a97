"""Rates come from looks at where records stood, over the last minute at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backoffice.throughput import WINDOW_S, Look, Throughput
from event_store.record import TopicPartition

TP = TopicPartition("order-events", 3)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def look(seconds: float, counted: int, *, generation: int = 1, arrived: int = 0, sent: int = 0) -> Look:
    return Look(NOON + timedelta(seconds=seconds), generation, {TP: sent}, {TP: arrived}, {TP: counted})


def test_one_look_tells_no_rate() -> None:
    assert Throughput().compared(look(0, 100)) is None


def test_two_looks_tell_what_moved_between_them() -> None:
    throughput = Throughput()
    throughput.compared(look(0, 100, arrived=500, sent=7))
    rates = throughput.compared(look(4, 300, arrived=900, sent=9))
    assert rates is not None
    assert (rates.over_s, rates.counted(TP), rates.arrived(TP), rates.sent(TP)) == (4, 50, 100, 0.5)
    assert rates.counted(TopicPartition("order-events", 4)) is None


def test_a_rate_is_of_the_last_minute_and_of_no_longer_time() -> None:
    throughput = Throughput()
    for second in range(0, 200, 10):
        rates = throughput.compared(look(second, second * (1 if second < 100 else 3)))
    assert rates is not None
    assert (rates.over_s, rates.counted(TP)) == (WINDOW_S, 3)


def test_many_readers_at_once_do_not_push_each_other_out() -> None:
    throughput = Throughput()
    for tenth in range(600):
        rates = throughput.compared(look(tenth / 10, tenth))
    assert rates is not None
    assert (rates.over_s, rates.counted(TP)) == (59.9, 10)


def test_a_number_that_fell_has_no_rate() -> None:
    throughput = Throughput()
    throughput.compared(look(0, 100, arrived=100))
    rates = throughput.compared(look(1, 40, arrived=100))
    assert rates is not None
    assert (rates.counted(TP), rates.arrived(TP)) == (None, 0)


def test_positions_of_two_generations_are_not_compared() -> None:
    throughput = Throughput()
    throughput.compared(look(0, 100, sent=1))
    rates = throughput.compared(look(1, 150, generation=2, sent=2))
    assert rates is not None
    assert (rates.counted(TP), rates.sent(TP)) == (None, 1)


def test_a_clock_that_was_set_back_begins_anew() -> None:
    throughput = Throughput()
    throughput.compared(look(100, 100))
    assert throughput.compared(look(0, 110)) is None
    rates = throughput.compared(look(2, 120))
    assert rates is not None
    assert rates.counted(TP) == 5
