"""The revisions of the figures. Their SQL is frozen: a change is another revision (docs/deploy.md)."""
