"""Which hosts are this machine, so that what is sent to them goes over no network."""

from __future__ import annotations

from ipaddress import ip_address


def is_this_machine(host: str) -> bool:
    """`localhost`, or an address of the loopback network; a name of any other kind may resolve to anything."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
