"""Who hears what a relay does: metrics and logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .errors import Stop
from .outbox import ClaimedRow
from .record import TopicPartition


class RelayObserver(Protocol):
    def published(self, tp: TopicPartition, rows: Sequence[ClaimedRow], seconds: float) -> None: ...

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None: ...

    def buried(self, tp: TopicPartition, row: ClaimedRow, reason: str) -> None: ...

    def refused(self, tp: TopicPartition, stop: Stop) -> None: ...

    def cleaned(self, rows: int) -> None: ...
