"""What a rebuild or a rollback is to do, who wants it and why; and what the audit says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from event_store.audit import Entry

from .rebuild_lines import Outcome

LONGEST_NOTE = 500
MOST_RECORDS_PER_S = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    note: str
    entry: Entry
    """Who acts; what, is written here."""
    accept_differences: str | None = None
    is_rollback: bool = False
    records_per_s: float | None = None

    @property
    def signed_note(self) -> str:
        """As the generation keeps it."""
        return f"{self.note} ({self.entry.who})"

    @property
    def options(self) -> Iterator[str]:
        """Of the command that carries it out. No text of somebody's can be taken for an option."""
        yield f"--note={self.note}"
        yield f"--who={self.entry.who}"
        yield f"--request-id={self.entry.request_id}"
        if self.is_rollback:
            yield "--rollback"
        if self.accept_differences is not None:
            yield f"--accept-differences={self.accept_differences}"
        if self.records_per_s is not None:
            yield f"--records-per-s={self.records_per_s:g}"

    def started(self) -> Entry:
        return self._told("started", self._reason)

    def cancelled(self, by: Entry, why: str = "") -> Entry:
        return replace(by, what=f"{self._noun}.cancelled", on=self.signed_note, reason=why or by.reason)

    def failed(self, outcome: Outcome, why: str) -> Entry:
        return self._told(outcome, f"{self._reason}: {why}")

    def switched(self, generation: int, replaced: int) -> Entry:
        told = self._told(Outcome.SWITCHED, self._reason)
        what = "figures.rolled_back" if self.is_rollback else told.what
        return replace(
            told, what=what, on=f"generation {generation}", before={"serving": replaced}, after={"serving": generation}
        )

    @property
    def _noun(self) -> str:
        return "rollback" if self.is_rollback else "rebuild"

    @property
    def _reason(self) -> str:
        if self.accept_differences is None:
            return self.note
        return f"{self.note}; differences accepted: {self.accept_differences}"

    def _told(self, what: str, reason: str) -> Entry:
        return replace(self.entry, what=f"{self._noun}.{what}", reason=reason)
