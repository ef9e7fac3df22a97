"""A supervisor with small children, as a program for test_supervisor.py: `supervised.py FOLDER GRACE_S CHILD...`.

Each child writes its process number to FOLDER/CHILD.pid when it runs and FOLDER/CHILD.done when it has stopped as
asked. The child `stubborn` never stops.
"""

import asyncio
import os
import sys
from pathlib import Path

from backoffice.serve import run_until_stopped
from backoffice.supervisor import Child, Supervisor


def child(folder: Path, name: str) -> None:
    async def work(stop: asyncio.Event) -> None:
        (folder / f"{name}.pid").write_text(str(os.getpid()))
        await stop.wait()
        if name == "stubborn":
            await asyncio.sleep(600)
        (folder / f"{name}.done").write_text(str(os.getpid()))

    run_until_stopped(work, grace_s=1)


def supervisor(folder: Path, grace_s: float, names: list[str]) -> int:
    children = [Child(name, (sys.executable, __file__, str(folder), "child", name)) for name in names]
    outcome: list[bool] = []

    async def work(stop: asyncio.Event) -> None:
        (folder / "supervisor.pid").write_text(str(os.getpid()))
        outcome.append(await Supervisor(children, grace_s=grace_s).run(stop))

    run_until_stopped(work, grace_s=grace_s)
    return 0 if outcome == [True] else 1


if __name__ == "__main__":
    if sys.argv[2] == "child":
        child(Path(sys.argv[1]), sys.argv[3])
    else:
        sys.exit(supervisor(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
