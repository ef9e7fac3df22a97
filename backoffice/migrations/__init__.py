"""Revisions of the accounts. See event_store/revisions.py."""
