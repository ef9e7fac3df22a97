"""The revisions of what people keep in the back-office database: accounts and saved views."""

from __future__ import annotations

from pathlib import Path

from event_store.revisions import Revisions

SIGN_IN = Revisions("sign_in", Path(__file__).parent / "migrations")
SAVED_VIEWS = Revisions("saved_view", Path(__file__).parent / "migrations")
