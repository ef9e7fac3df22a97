"""Which errors are a command's expected ends, and with which exit code.

0 done; 1 it didn't work out; 2 it could not begin: an option, a setting, an address or a data folder in use.
"""

from __future__ import annotations


def exit_code(error: Exception) -> int | None:
    """The exit code of an error whose message says it all; None for a fault of ours, which deserves its trace-back."""
    from event_store.errors import EventStoreError
    from projections.periods import QuestionError

    from .commands.outbox import NoSuchDeadRowError
    from .commands.status import NothingStartedError
    from .occupancy import OccupiedError
    from .serve import AddressTakenError

    if isinstance(error, OccupiedError | AddressTakenError | QuestionError | NoSuchDeadRowError):
        return 2
    if isinstance(error, EventStoreError | NothingStartedError):
        return 1
    # An address that no back end opens, a metric that isn't one: the ports say so with a ValueError.
    return 2 if type(error) is ValueError else None
