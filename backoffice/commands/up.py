"""`countinghouse up`: every process of the shop on this machine, from one command."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import httpx

from backoffice.address import AddressTakenError, listen
from backoffice.commands.first_account import demo_way_in, first_way_in
from backoffice.commands.topics import apply_topics
from backoffice.loopback import refuse_open_listen
from backoffice.occupancy import Occupancy
from backoffice.serve import run_until_stopped
from backoffice.settings import Settings, read_settings, variable
from backoffice.supervisor import Child, Supervisor
from event_store.connect import file_of

ADDRESS_WAIT_S = 5.0
"""How long `up` waits for an address that the processes of an `up` that was killed may still be leaving."""

DEMO_ZONE = "Europe/London"
"""Where the shop of the demo's invoices stands."""

Say = Callable[[str], None]


def run_up(settings: Settings, extra: Sequence[Child], say: Say, *, is_demo: bool = False) -> bool:
    """Runs until SIGTERM or SIGINT; True when every process ended by itself. A server's log has its topics made first.

    Raises OpenListenError, OccupiedError, AddressTakenError and LogUnusable before anything is started.
    """
    refuse_open_listen(settings.dashboard_host, settings.sign_in)
    occupancy = Occupancy(settings.data_dir)
    try:
        for role in ("api", "dashboard"):
            _await_free(getattr(settings, f"{role}_host"), getattr(settings, f"{role}_port"), role)
        outcome: list[bool] = []

        async def work(stop: asyncio.Event) -> None:
            if file_of(settings.log_url) is None:
                await apply_topics(settings)
            way_in = await (demo_way_in(settings) if is_demo else first_way_in(settings))
            telling = asyncio.create_task(_tell_addresses(settings, way_in, say))
            supervisor = Supervisor([*children(settings), *extra], grace_s=settings.stop_grace_s)
            outcome.append(await supervisor.run(stop))
            telling.cancel()

        run_until_stopped(work, grace_s=settings.stop_grace_s)
        return all(outcome)
    finally:
        occupancy.end()


def children(settings: Settings) -> list[Child]:
    """The processes of a shop. Their names outlive a restart, so a relay or consumer has its leases back at once."""
    place = f"{socket.gethostname()[:60]}-{hashlib.sha256(str(settings.data_dir).encode()).hexdigest()[:8]}"
    return [
        child(settings, "api"),
        child(settings, "relay", relay_name=_chosen(settings, "relay_name") or f"relay-{place}"),
        *(_consumer(settings, place, number) for number in range(1, settings.consumers + 1)),
        child(settings, "archiver"),
        child(settings, "dashboard"),
    ]


def _consumer(settings: Settings, place: str, number: int) -> Child:
    """One of several consumers: each has a name and, where they were given one, a port of its own."""
    name = _chosen(settings, "consumer_name") or f"consumer-{place}"
    if settings.consumers == 1:
        return child(settings, "consumer", consumer_name=name)
    port = settings.consumer_port + number - 1 if settings.consumer_port else 0
    one = child(settings, "consumer", consumer_name=f"{name[:90]}-{number}", consumer_port=str(port))
    return replace(one, name=f"consumer-{number}")


def _chosen(settings: Settings, name: str) -> str | None:
    return str(getattr(settings, name)) if name in settings.model_fields_set else None


def child(settings: Settings, command: str, *options: str, **own: str) -> Child:
    """One command of ours as a process, with settings of its `own`; what `up` was told by options is handed on."""
    handed_on = {**own, "time_zone": settings.time_zone}
    return Child(
        command,
        (sys.executable, "-m", "backoffice", command, "--data", str(settings.data_dir), *options),
        {variable(name): value for name, value in handed_on.items()},
    )


def demo_settings(settings: Settings) -> Settings:
    """A folder of its own where none was named, so that no invented order meets a real one; and the shop's zone."""
    own: dict[str, object] = {}
    if "time_zone" not in settings.model_fields_set:
        own["time_zone"] = DEMO_ZONE
    if "data_dir" in settings.model_fields_set:
        return settings.model_copy(update=own)
    return read_settings(settings.data_dir / "demo").model_copy(update=own)


def _await_free(host: str, port: int, role: str) -> None:
    deadline = time.monotonic() + ADDRESS_WAIT_S
    while True:
        try:
            listen(host, port).close()
        except AddressTakenError as error:
            if time.monotonic() > deadline:
                raise AddressTakenError(f"{error} Choose another with {variable(f'{role}_port')}.") from None
            time.sleep(0.1)
        else:
            return


async def _tell_addresses(settings: Settings, way_in: str, say: Say) -> None:
    for title, url in (("Commerce API", settings.api_url), ("Dashboard", settings.dashboard_url)):
        await _answers(url)
        say(f"{title:<13}{url}")
    if way_in:
        say(f"{'Sign in':<13}{way_in}")
    say(f"{'Data':<13}{settings.data_dir}")
    say("Ctrl-C stops everything.")


async def _answers(url: str) -> None:
    async with httpx.AsyncClient(timeout=2) as client:
        while True:
            try:
                if (await client.get(f"{url}/livez")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
