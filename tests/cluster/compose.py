"""What compose.yaml says of our own processes: commands, settings, how many, and what each waits for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[2] / "compose.yaml"
IMAGE = "countinghouse:"
_VARIABLE = re.compile(r"\$\{(\w+):\?[^}]*\}")


@dataclass(frozen=True, slots=True)
class Service:
    """`after` is service → the condition under which this one starts."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    replicas: int
    profiles: Sequence[str]
    after: Mapping[str, str]

    @property
    def is_task(self) -> bool:
        """Whether it ends by itself."""
        return self.name in ("migrate", "topics")


def read_compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def our_services(variables: Mapping[str, str]) -> list[Service]:
    """Those made from our image, in the file's order; `variables` are what its `${…}` stand for."""
    return [
        _service(name, entry, variables)
        for name, entry in read_compose()["services"].items()
        if entry["image"].startswith(IMAGE)
    ]


def _service(name: str, entry: Mapping[str, Any], variables: Mapping[str, str]) -> Service:
    return Service(
        name,
        entry["command"],
        {key: _filled(str(value), variables) for key, value in entry["environment"].items()},
        entry.get("deploy", {}).get("replicas", 1),
        entry.get("profiles", ()),
        {other: how["condition"] for other, how in entry.get("depends_on", {}).items()},
    )


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: variables[match[1]], text)
