"""The facts: events and how they are written down, the outbox and its relay, the log, the inbox and the archive."""
