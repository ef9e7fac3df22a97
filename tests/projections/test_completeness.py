"""What may be claimed beside every number."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from projections.completeness import LATE_AFTER_S, Counted, Level, Waiting, completeness

NOW = datetime(2011, 12, 1, 12, tzinfo=UTC)
ALL_COUNTED = Counted(generation=3, offset=812, parked=0, missing=0, log_changed=False)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_with_nothing_on_its_way_figures_are_complete_up_to_when_it_was_asked() -> None:
    found = completeness(NOW, ALL_COUNTED, [Waiting(0, None), Waiting(0, None)])
    assert (found.level, found.complete_up_to, found.on_their_way) == (Level.OK, NOW, 0)
    assert (found.offset, found.generation) == (812, 3)


def test_figures_are_complete_up_to_the_oldest_event_on_its_way() -> None:
    found = completeness(NOW, ALL_COUNTED, [Waiting(2, ago(1)), Waiting(5, ago(3)), Waiting(0, ago(99))])
    assert (found.complete_up_to, found.on_their_way, found.level) == (ago(3), 7, Level.OK)


def test_nothing_later_than_the_question_is_claimed() -> None:
    ahead = NOW + timedelta(hours=1)
    assert completeness(NOW, ALL_COUNTED, [Waiting(1, ahead)]).complete_up_to == NOW


def test_figures_are_late_when_an_event_waits_long() -> None:
    at_most = [Waiting(1, ago(LATE_AFTER_S))]
    longer = [Waiting(1, ago(LATE_AFTER_S + 0.1))]
    assert completeness(NOW, ALL_COUNTED, at_most).level is Level.OK
    assert completeness(NOW, ALL_COUNTED, longer).level is Level.LATE


def test_figures_are_late_as_soon_as_a_lane_fails() -> None:
    assert completeness(NOW, ALL_COUNTED, [Waiting(1, ago(0), failing=True)]).level is Level.LATE


@pytest.mark.parametrize(
    "counted",
    [replace(ALL_COUNTED, missing=1), replace(ALL_COUNTED, log_changed=True), replace(ALL_COUNTED, stopped=True)],
)
def test_figures_are_broken_when_the_log_lacks_events_or_counting_has_stopped(counted: Counted) -> None:
    assert completeness(NOW, counted, []).level is Level.BROKEN


def test_parked_events_are_named_and_leave_the_level_as_it_is() -> None:
    found = completeness(NOW, replace(ALL_COUNTED, parked=4), [])
    assert (found.parked, found.level) == (4, Level.OK)
