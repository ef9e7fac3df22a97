"""The revisions of what the back office's database holds: generations, the inbox, and the figures themselves."""

from __future__ import annotations

from pathlib import Path

from event_store.revisions import Revisions

FIGURES = Revisions("figures", Path(__file__).parent / "migrations")
