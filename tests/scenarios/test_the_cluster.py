"""The shop's half year through compose.yaml's processes on Kafka, PostgreSQL and Valkey, while they are killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests import retail_oracle
from tests.cluster.cluster import PASSWORD, Cluster, Member, running_cluster
from tests.faults.shop import Running, Shop

from .half_year import HalfYear, by_name, check_nothing_is_lost, check_product_days, shared_file_or_copies

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

KILLS = {"api-1": 10, "api-2": 2, "relay": 12, "consumer-1": 10, "consumer-2": 10}
BROKER_RESTARTS = {12: signal.SIGKILL, 30: signal.SIGTERM}
"""Beside which kill the broker ends, and how."""


@pytest.fixture(scope="module")
def half_year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HalfYear]:
    """The shop after the import, its kills and its broker's restarts, drained, with all processes running."""
    folder = tmp_path_factory.mktemp("cluster")
    with running_cluster(folder) as cluster, pytest.MonkeyPatch.context() as here:
        here.setenv("PGPASSWORD", PASSWORD)  # What this process looks up itself, it looks up as the others do.
        cluster.prepare()
        members = {member.name: member for member in cluster.members()}
        short = {"COUNTINGHOUSE_LEASE_TTL_S": "2", "COUNTINGHOUSE_LEASE_RENEW_S": "0.5"}
        shop = Shop(folder, {**cluster.settings, **short}, api_port=members["api-1"].port)
        try:
            start = {name: partial(_start, shop, member) for name, member in members.items()}
            file = shared_file_or_copies(folder)
            one = HalfYear(shop, file, retail_oracle.judge(file), KILLS, start)
            for name in set(members) - set(KILLS):
                start[name]()
            asyncio.run(
                one.import_under_kills({at: partial(_restart, cluster, how) for at, how in BROKER_RESTARTS.items()})
            )
            shop.ok("drain", "--timeout", "80")
            yield one
        finally:
            shop.close()
        assert shop.complaints() == []


def _start(shop: Shop, member: Member) -> Running:
    return shop.start(*member.service.command, **member.environment)


def _restart(cluster: Cluster, how: signal.Signals) -> None:
    cluster.broker.stop(how)
    cluster.broker.start()


def test_more_than_forty_processes_were_killed_and_the_broker_twice(half_year: HalfYear) -> None:
    assert by_name(half_year.kills) == KILLS
    assert len({kill.pid for kill in half_year.kills}) == len(half_year.kills) >= 40
    assert all(kill.events < half_year.events for kill in half_year.kills)


def test_every_figure_equals_the_oracle_to_the_last_penny(half_year: HalfYear) -> None:
    check_product_days(half_year)


def test_there_are_no_holes_and_no_lag(half_year: HalfYear) -> None:
    check_nothing_is_lost(half_year)


def test_a_rebuild_from_the_brokers_records_comes_out_equal(half_year: HalfYear) -> None:
    rebuilt = half_year.shop.run("rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "all equal" in rebuilt.stderr
