"""Shares: how many partitions of each topic each consumer counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def shares(topics: Mapping[str, int], members: Collection[str]) -> Mapping[str, Mapping[str, int]]:
    """Member → topic → how many of its partitions; `topics` are topic → partitions.

    A member's shares of two topics, and what two members have of one or of all, differ from an even share by less than
    one partition. So each topic is spread, since one consumer with all partitions of the busy one would leave the
    others idle, and nobody idles while another has two. All who see the same members see the same shares, which are
    all partitions and no more: whoever has too many gives back just what another lacks.
    """
    ranked = sorted(members)
    found: dict[str, dict[str, int]] = {member: {} for member in ranked}
    first = 0  # Who has one more than the others: those who come after the ones that had it in the topic before.
    for topic, partitions in sorted(topics.items()):
        (least, more) = divmod(partitions, len(ranked))
        for rank, member in enumerate(ranked):
            found[member][topic] = least + ((rank - first) % len(ranked) < more)
        first = (first + more) % len(ranked)
    return found
