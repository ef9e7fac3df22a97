"""The revisions of the outbox and the leases. Their SQL is frozen: a change is another revision (docs/deploy.md)."""
