"""The revisions of the accounts, which stand in the back-office database."""

from __future__ import annotations

from pathlib import Path

from event_store.revisions import Revisions

SIGN_IN = Revisions("sign_in", Path(__file__).parent / "migrations")
