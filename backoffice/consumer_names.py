"""The names under which others know the consumers: of their group, and of the leases by which they share partitions."""

from __future__ import annotations

GROUP = "countinghouse.metrics"
MEMBERS = "member/"
"""How the name of a consumer's own lease begins, which says that it is at work."""
PARTITIONS = "partition/"
"""How the name of the lease of a partition begins."""
