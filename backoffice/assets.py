"""What the build of `backoffice/frontend` made, by the names that its manifest gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

ENTRY = "src/main.ts"
URL = "/static/dist/"


@dataclass(frozen=True, slots=True)
class Assets:
    """The URLs of a page's script and styles; each has its content's hash in its name."""

    script: str = ""
    styles: tuple[str, ...] = ()

    @property
    def are_built(self) -> bool:
        return bool(self.script)


class _Chunk(msgspec.Struct):
    file: str
    css: list[str] = []


def read_assets(dist: Path) -> Assets:
    """Nothing where nothing was built: the pages say so then, and all else goes on."""
    manifest = dist / "manifest.json"
    if not manifest.is_file():
        return Assets()
    entry = msgspec.json.decode(manifest.read_bytes(), type=dict[str, _Chunk])[ENTRY]
    return Assets(f"{URL}{entry.file}", tuple(f"{URL}{name}" for name in entry.css))
