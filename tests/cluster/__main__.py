"""`make cluster`: the living shop of compose.yaml on this machine, with servers that are gone when it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from backoffice.logs import configure_logs
from backoffice.serve import run_until_stopped
from backoffice.supervisor import Child, Supervisor

from .cluster import Cluster, running_cluster

GRACE_S = 25.0
PUBLISHED = {"api": 8000, "dashboard": 8100}


def main() -> None:
    configure_logs("info", "console", "cluster")
    with tempfile.TemporaryDirectory(prefix="countinghouse-cluster-") as folder:
        print("Kafka, PostgreSQL and Valkey start …", flush=True)  # noqa: T201
        with running_cluster(Path(folder), PUBLISHED) as cluster:
            cluster.prepare()
            print(_account(cluster), flush=True)  # noqa: T201
            run_until_stopped(lambda stop: _run(cluster, stop), grace_s=GRACE_S)


def _account(cluster: Cluster) -> str:
    """Makes the first account; its one-time password."""
    (dashboard,) = [one for one in cluster.members() if one.name == "dashboard"]
    command = (sys.executable, "-m", "backoffice", "users", "add", "admin", "--role", "admin")
    made = subprocess.run(command, env=cluster.full(dashboard), stdout=subprocess.PIPE, text=True, check=True)
    return made.stdout.strip()


async def _run(cluster: Cluster, stop: asyncio.Event) -> None:
    environment = {"COUNTINGHOUSE_LOG_FORMAT": "console"}
    children = [Child(one.name, one.command, {**one.environment, **environment}) for one in cluster.members("demo")]
    for name, port in PUBLISHED.items():
        print(f"{name:<11}http://127.0.0.1:{port}", flush=True)  # noqa: T201
    for name, address in cluster.addresses.items():
        print(f"{name.partition(':')[0]:<11}{address}", flush=True)  # noqa: T201
    print("Ctrl-C stops everything.", flush=True)  # noqa: T201
    await Supervisor(children, grace_s=GRACE_S).run(stop)


if __name__ == "__main__":
    main()
