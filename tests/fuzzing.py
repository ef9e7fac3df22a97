"""Schemathesis, which calls every operation of an API as its own OpenAPI document says, and as it says not to."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

EXAMPLES = 25
"""Of each operation, beside those at the bounds of its parameters."""


async def fuzzed(url: str, config: str, folder: Path) -> str:
    """What it found at that address, each with the call that shows it; empty where nothing is wrong.

    `config` is its own, in TOML, and says which checks are left out. The calls are the same at every run.
    """
    (folder / "schemathesis.toml").write_text(config)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
        *("run", f"{url}/schema/openapi.json", "--phases", "examples,coverage,fuzzing,stateful"),
        *("--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure", "--no-color"),
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        (said, _) = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode() if process.returncode else ""
