"""Canonical times of many events → the 15-minute buckets they fall into, judged and looked up together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from operator import le

from .errors import UndecodableRecord
from .event_time import FUTURE_TOLERANCE

BUCKET_S = 900

_LENGTH = 27
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_SHAPE = b"0000-00-00T00:00:00.000000Z"
_FUTURE_TOLERANCE_US = int(FUTURE_TOLERANCE.total_seconds() * 1e6)


class _Minutes(dict[str, int]):
    """Canonical text up to the minute → minutes since 1970 UTC; KeyError where it is no instant we accept.

    Events of one batch share few minutes, so one look-up replaces the parsing of each time.
    """

    def __missing__(self, text: str) -> int:
        try:
            instant = datetime.fromisoformat(text + ":00.000000+00:00")
        except ValueError:
            raise KeyError(text) from None
        if instant.strftime("%Y-%m-%dT%H:%M") != text or instant.year < 2000:
            raise KeyError(text)
        if len(self) > 200_000:
            self.clear()
        minute = int(instant.timestamp()) // 60
        self[text] = minute
        return minute


_MINUTES = _Minutes()


def bucket_of(time: str) -> int:
    """Start of the 15-minute UTC bucket of a canonical time, in seconds since 1970."""
    return _MINUTES[time[:16]] * 60 // BUCKET_S * BUCKET_S


def may_be_ahead(minute: int, appended_at_us: int) -> bool:
    """Whether a time in that minute since 1970 may be further ahead of the log's clock than an event's may be."""
    return (minute + 1) * 60_000_000 > appended_at_us + _FUTURE_TOLERANCE_US


def plain_buckets(times: Sequence[str], earliest_append_us: int) -> list[int]:
    """The bucket of each time; UndecodableRecord or KeyError unless all are canonical and none may be too far ahead."""
    joined = "".join(times).encode()
    if len(joined) != _LENGTH * len(times) or joined.translate(_DIGITS_AS_ZERO) != _SHAPE * len(times):
        raise UndecodableRecord("INVALID_EVENT", "a time is not canonical")
    if max(joined[17::_LENGTH]) > ord("5"):
        raise UndecodableRecord("INVALID_EVENT", "a second is not below 60")
    is_ordered = all(map(le, times, times[1:]))
    (first, last) = (times[0], times[-1]) if is_ordered else (min(times), max(times))
    (opening, closing) = (bucket_of(first), bucket_of(last))
    if may_be_ahead(_MINUTES[last[:16]], earliest_append_us):
        raise UndecodableRecord("FUTURE_TIME", "a time may be ahead of the log's clock")
    if opening == closing:  # Digits between two good times of one quarter hour can't be a bad time.
        return [opening] * len(times)
    if is_ordered and first[:10] == last[:10] and max(joined[14::_LENGTH]) <= ord("5"):
        return _of_one_day(times, range(opening, closing + 1, BUCKET_S))
    texts = [time[:16] for time in times]
    buckets = {text: bucket_of(text) for text in set(texts)}
    return [buckets[text] for text in texts]


def _of_one_day(times: Sequence[str], buckets: range) -> list[int]:
    """The bucket of each of these times, which are in order and all of one day."""
    minutes = [bucket // 60 % (24 * 60) for bucket in buckets[1:]]
    starts = [bisect_left(times, f"{times[0][:11]}{minute // 60:02}:{minute % 60:02}") for minute in minutes]
    filled = zip(buckets, pairwise([0, *starts, len(times)]), strict=True)
    return [bucket for bucket, (start, stop) in filled for _ in range(start, stop)]
