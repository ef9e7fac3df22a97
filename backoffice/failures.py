"""Which errors are a command's expected ends, and with which exit code.

0 done; 1 it didn't work out; 2 it could not begin: an option, a setting, an address or a data
folder in use, a shop that was never started.
"""

from __future__ import annotations


class CommandFailed(Exception):
    """A command's expected end. The message says what happened and what to do."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def exit_code(error: Exception) -> int | None:
    """The exit code of an error whose message says it all; None for a fault of ours, which deserves its trace-back."""
    from event_store.errors import EventStoreError, LogUnusable
    from projections.periods import QuestionError

    from .address import AddressTakenError
    from .commands.outbox import NoSuchDeadRowError
    from .commands.status import NothingStartedError
    from .loopback import OpenListenError
    from .occupancy import OccupiedError
    from .topic_migration import MigrationRefused

    if isinstance(error, CommandFailed):
        return error.code
    could_not_begin = (
        OccupiedError | AddressTakenError | OpenListenError | NothingStartedError | LogUnusable | MigrationRefused
    )
    if isinstance(error, could_not_begin | QuestionError | NoSuchDeadRowError):
        return 2
    return 1 if isinstance(error, EventStoreError) else None
