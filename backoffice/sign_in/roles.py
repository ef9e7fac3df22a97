"""The roles, each of which may what the one before it may."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    """Reads every page."""
    ANALYST = "analyst"
    """Takes figures away as files."""
    OPERATOR = "operator"
    """Acts on the pipeline, and reads the audit."""
    ADMIN = "admin"
    """Gives and takes accounts and tokens."""

    def may(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


class UnknownRole(ValueError):
    """No such role."""


def role_named(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise UnknownRole(f"no role {text[:32]!r}; there are {', '.join(Role)}") from None
