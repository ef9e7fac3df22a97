"""Topics of a real Kafka: made as they are to be kept, compared, put right, and never cut down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from event_store.errors import LogUnusable
from event_store.kafka_cluster import KafkaCluster
from event_store.kafka_topics import KafkaTopics
from tests.servers.kafka import Broker

WANTED = {"facts": 3, "deeds": 2}


@pytest.fixture
async def topics(cluster: KafkaCluster) -> AsyncIterator[KafkaTopics]:
    one = KafkaTopics(cluster)
    yield one
    await one.close()


@pytest.fixture
async def admin(cluster: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:
    one = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await one.start()
    yield one
    await one.close()


async def _make(
    admin: AIOKafkaAdminClient, cluster: KafkaCluster, partitions: int, config: Mapping[str, str] | None = None
) -> None:
    await admin.create_topics([NewTopic(cluster.name("facts"), partitions, 1, topic_configs=dict(config or {}))])


async def test_what_is_missing_is_made_as_it_is_to_be_kept_and_then_nothing_is_to_be_done(topics: KafkaTopics) -> None:
    assert [str(one) for one in await topics.differences(WANTED)] == [
        "deeds is missing, and should have 2 partitions",
        "facts is missing, and should have 3 partitions",
    ]
    assert [one.done for one in await topics.apply(WANTED)] == [
        "deeds is made, with 2 partitions.",
        "facts is made, with 3 partitions.",
    ]
    assert await topics.apply(WANTED) == []
    assert await topics.differences(WANTED) == []
    found = await topics.found()
    assert {name: one.partitions for name, one in found.items()} == WANTED
    assert found["facts"].config == {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": "1048588",
        "min.insync.replicas": "1",
    }


async def test_two_may_apply_at_once(cluster: KafkaCluster, topics: KafkaTopics) -> None:
    others = [KafkaTopics(cluster) for _ in range(3)]
    await asyncio.gather(*(one.apply(WANTED) for one in (topics, *others)))
    assert await topics.differences(WANTED) == []
    await asyncio.gather(*(one.close() for one in others))


async def test_drift_is_named_and_put_right_and_settings_that_are_not_ours_stay(
    cluster: KafkaCluster, topics: KafkaTopics, admin: AIOKafkaAdminClient
) -> None:
    await _make(admin, cluster, 3, {"retention.ms": "1000", "cleanup.policy": "compact", "segment.ms": "123456789"})
    await topics.apply({"deeds": 2})
    said = [str(one) for one in await topics.differences(WANTED)]
    assert "facts: retention.ms is 1000, and should be -1" in said
    assert "facts: cleanup.policy is compact, and should be delete" in said
    assert "facts: message.timestamp.type is CreateTime, and should be LogAppendTime" in said
    assert all(line.startswith("facts: ") for line in said)
    done = {one.done for one in await topics.apply(WANTED)}
    assert "facts: retention.ms is -1; it was 1000." in done
    assert await topics.differences(WANTED) == []
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    asked = [ConfigResource(ConfigResourceType.TOPIC, cluster.name("facts"), {"segment.ms": ""})]
    (answer,) = await admin.describe_configs(asked)
    assert answer.resources[0][4][0][:2] == ("segment.ms", "123456789")


async def test_safer_than_asked_for_is_no_difference(
    cluster: KafkaCluster, topics: KafkaTopics, admin: AIOKafkaAdminClient
) -> None:
    await topics.apply({"facts": 1})
    from event_store.kafka_messages import ChangeConfigsRequest

    await topics._asked(
        "change it",
        lambda client: client.to_controller(
            ChangeConfigsRequest(cluster.name("facts"), {"max.message.bytes": "5000000", "min.insync.replicas": "2"})
        ),
    )
    assert await topics.differences({"facts": 1}) == []


@pytest.mark.parametrize("partitions", [2, 4])
async def test_other_partitions_are_never_changed(topics: KafkaTopics, partitions: int) -> None:
    await topics.apply({"facts": 3})
    (one,) = await topics.differences({"facts": partitions})
    assert str(one).startswith(f"facts: partitions is 3, and should be {partitions}: partitions can't be taken away")
    assert f"countinghouse topics migrate facts --partitions {partitions}" in str(one)
    assert await topics.apply({"facts": partitions}) == []
    assert (await topics.found())["facts"].partitions == 3
    if partitions > 3:
        with pytest.raises(LogUnusable, match="partitions is 3"):
            await topics.require({"facts": partitions})
    else:
        await topics.require({"facts": partitions})  # More than we need do no harm: all of them are read.


async def test_more_replicas_than_brokers_are_refused_with_the_setting(kafka: Broker) -> None:
    topics = KafkaTopics(KafkaCluster(kafka.address, f"{uuid4().hex[:8]}.", replication=3, min_insync=2))
    with pytest.raises(LogUnusable, match=r"make topic facts: .*InvalidReplicationFactor.*COUNTINGHOUSE_KAFKA_REPL"):
        await topics.apply({"facts": 1})
    await topics.close()


async def test_a_topic_with_too_few_replicas_is_left_to_an_operator(kafka: Broker, topics: KafkaTopics) -> None:
    await topics.apply({"facts": 1})
    stricter = KafkaTopics(KafkaCluster(kafka.address, topics._cluster.prefix, replication=3, min_insync=1))
    (one,) = await stricter.differences({"facts": 1})
    assert str(one).startswith("facts: replication is 1, and should be 3: replicas are added with Kafka's own tool")
    assert await stricter.apply({"facts": 1}) == []
    await stricter.close()


async def test_a_topic_that_is_made_anew_has_another_identity(
    cluster: KafkaCluster, topics: KafkaTopics, admin: AIOKafkaAdminClient
) -> None:
    await topics.apply({"facts": 1})
    before = (await topics.found())["facts"].identity
    await admin.delete_topics([cluster.name("facts")])
    await asyncio.sleep(0.5)
    await topics.apply({"facts": 1})
    after = (await topics.found())["facts"].identity
    assert before is not None
    assert after is not None
    assert before != after


async def test_a_process_is_told_to_have_missing_topics_made(cluster: KafkaCluster, topics: KafkaTopics) -> None:
    with pytest.raises(LogUnusable) as refusal:
        await topics.require(WANTED)
    assert str(refusal.value) == (
        f"Kafka at {cluster.bootstrap}/{cluster.prefix}: there is no facts and no deeds that we may see. "
        "Make them: countinghouse topics apply"
    )
    await topics.apply(WANTED)
    await topics.require(WANTED)
