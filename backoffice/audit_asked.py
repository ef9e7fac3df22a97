"""Which audit is asked for, and from which row on: what the page and the API have in their URLs."""

from __future__ import annotations

from collections.abc import Mapping

from event_store.audit import Audit
from projections.periods import QuestionError

from .whole_number import whole_number


class UnknownAudit(QuestionError):
    """No such audit, or no such place in it."""


def audit_named(audits: Mapping[str, Audit], of: str) -> Audit:
    """Raises UnknownAudit."""
    if of not in audits:
        raise UnknownAudit(f"no audit {of[:32]!r}; there are {', '.join(audits)}")
    return audits[of]


def row_named(text: str) -> int | None:
    """None where none is named. Raises UnknownAudit."""
    trouble = UnknownAudit(f"no row {text[:32]!r}; rows are numbered from 1")
    return whole_number(text, 18, trouble) if text else None
