"""Whether the log is still the one that was counted."""

from __future__ import annotations

from .errors import HistoryLost, LogChanged
from .log import Log
from .record import TopicPartition, fingerprint


async def check_counted(log: Log, tp: TopicPartition, next_offset: int, last_fingerprint: int | None) -> None:
    """The last record that was counted must still stand in the log as it was.

    Raises HistoryLost where the log ends before it, LogChanged where another stands there, and LogUnavailable.
    """
    if next_offset == 0:
        return
    end = (await log.bounds([tp]))[tp].end
    if end < next_offset:
        raise HistoryLost(
            f"{tp}: {next_offset} records were counted, and the log ends at offset {end}: its end is "
            "missing. Nothing was reset. Put the log back as it was; a rebuild is refused for as long as the log "
            "is shorter."
        )
    last = next_offset - 1
    found = await log.read(tp, last, 1)
    if not len(found) or fingerprint(found.values[0]) != last_fingerprint:
        raise LogChanged(
            f"{tp}: the record at offset {last} is not the one that was counted; the topic was recreated or "
            "rewritten. Nothing was reset. Put the log back; or, if this one is to stand, move the old log's "
            'archive away and run: countinghouse rebuild --accept-differences "reason"'
        )
