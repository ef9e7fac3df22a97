"""The revisions of the commerce tables. Their SQL is frozen: a change is another revision (docs/deploy.md)."""
