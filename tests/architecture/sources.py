"""The project's files, as the architecture tests look at them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("event_store", "projections", "backoffice", "producer_api")


@dataclass(frozen=True)
class Source:
    """One Python file of ours."""

    path: Path

    @property
    def place(self) -> str:
        """Its path from the root: `event_store/log.py`."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def package(self) -> str:
        return self.path.relative_to(ROOT).parts[0]

    @property
    def module(self) -> str:
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.path)

    def imports(self) -> Iterator[str]:
        """Every module that it imports, anywhere in it, by absolute name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield self._absolute(node)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        folder = self.path.relative_to(ROOT).parts[: -node.level]
        return ".".join([*folder, *([node.module] if node.module else [])])


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def sources(*packages: str) -> tuple[Source, ...]:
    found = [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple(Source(path) for path in found if "node_modules" not in path.parts)


@cache
def tracked_names() -> tuple[Path, ...]:
    """What is under version control; outside of a clone, what would be."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return tuple(ROOT / name for name in found.stdout.splitlines())
    hidden = {".git", ".venv", "__pycache__", "node_modules"}
    return tuple(path for path in ROOT.rglob("*") if not hidden & set(path.parts))


@cache
def tracked_files() -> tuple[Path, ...]:
    return tuple(path for path in tracked_names() if path.is_file())
