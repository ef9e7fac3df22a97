"""The revisions of the shop's own tables, which stand in the commerce database beside the outbox."""

from __future__ import annotations

from pathlib import Path

from event_store.revisions import Revisions

COMMERCE = Revisions("commerce", Path(__file__).parent / "migrations")
