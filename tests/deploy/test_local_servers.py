"""Real Kafka, Cassandra and Triton, as `up` starts them."""

import shutil
from pathlib import Path

import pytest
from cassandra.cluster import Cluster
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from rich.console import Console

from deploy.local import ports, status, triton
from deploy.local import servers as local_servers
from deploy.local.status import Line
from streams import topics
from streams.adapters import schema
from streams.adapters.triton import TritonEmbedder
from streams.errors import AnabranchError
from streams.events import MAX_EVENT_BYTES
from streams.settings import Retention, Settings, load

pytestmark = pytest.mark.servers


def pids(settings: Settings) -> dict[str, int]:
    found = {server.name: server.process.find() for server in local_servers.servers(settings)}
    return {name: process.pid for name, process in found.items() if process}


def line(settings: Settings, what: str) -> Line:
    return next(line for line in status.report(settings) if line.what == what)


def send(settings: Settings, topic: str, value: bytes) -> TopicPartition:
    """Send one message; where it went. Raises KafkaError when it was not acknowledged."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka.address, max_request_size=4 * MAX_EVENT_BYTES, acks="all")
    try:
        sent = producer.send(topic, value).get(timeout=30)
        return TopicPartition(topic, sent.partition)
    finally:
        producer.close()


def last_message(settings: Settings, partition: TopicPartition) -> bytes:
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.address,
        group_id=None,
        enable_auto_commit=False,
        fetch_max_bytes=8 * MAX_EVENT_BYTES,
        max_partition_fetch_bytes=8 * MAX_EVENT_BYTES,
    )
    try:
        consumer.assign([partition])
        consumer.seek(partition, consumer.end_offsets([partition])[partition] - 1)
        return bytes(consumer.poll(timeout_ms=30_000)[partition][0].value)
    finally:
        consumer.close()


def execute(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    with Cluster([settings.cassandra.host], port=settings.cassandra.port) as cluster:
        return [tuple(row) for row in cluster.connect(settings.cassandra.keyspace).execute(statement)]


def test_all_that_up_starts_is_well_and_the_worker_comes_next(servers: Settings) -> None:
    unwell = {line.what: line.next for line in status.report(servers) if line.next}
    assert unwell == {"worker": "anabranch worker"}


def test_every_model_of_the_repository_serves(servers: Settings) -> None:
    assert triton.unready(servers.triton) == {}
    assert all(model in line(servers, "models").detail for model in triton.models())


async def test_the_status_says_what_a_model_has_done(servers: Settings) -> None:
    embedder = TritonEmbedder(servers.triton)
    before = triton.work(servers.triton).get("profile_encoder", triton.Work(0, 0, 0, 0))
    await embedder.embed("profile", [b'{"age": 20}', b'{"age": 30}', b"{"])
    await embedder.close()
    after = triton.work(servers.triton)["profile_encoder"]
    assert (after.contents - before.contents, after.batches - before.batches) == (3, 1)
    assert 0 < after.waited_seconds < after.took_seconds
    assert f"{after.contents:,} contents" in line(servers, "model profile_encoder").detail


def test_a_model_that_fails_to_load_is_named_and_keeps_no_other_from_serving(
    servers: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = tmp_path / "models" / "profile_encoder", tmp_path / "models" / "broken"
    shutil.copytree(triton.MODELS / good.name, good)
    (bad / "1").mkdir(parents=True)
    (bad / "config.pbtxt").write_text((good / "config.pbtxt").read_text().replace(good.name, bad.name))
    (bad / "1" / "model.py").write_text("raise RuntimeError('the weights are gone')")
    monkeypatch.setattr(triton, "MODELS", tmp_path / "models")
    settings = ports.choose_all(load(home=tmp_path / "home", downloads=servers.downloads_folder))
    other = next(server for server in local_servers.servers(settings) if server.name == "triton")
    try:
        local_servers.start_and_wait([other], Console(quiet=True))
        unready = triton.unready(settings.triton)
        assert list(unready) == ["broken"]
        assert "the weights are gone" in unready["broken"]
        lines = {line.what: line.next for line in status.report(settings)}
        assert lines["model broken"] == "anabranch down && anabranch up"
    finally:
        other.process.stop()


def test_a_second_up_changes_nothing(servers: Settings) -> None:
    before = pids(servers)
    assert local_servers.up(servers) == servers
    assert pids(servers) == before


def test_the_topics_are_as_the_table_says(servers: Settings) -> None:
    assert topics.create(servers) == []
    wanted = {each.name: 1 if each.ordered else servers.kafka.partitions for each in topics.TOPICS}
    assert topics.partition_counts(servers.kafka) == wanted
    assert_kept(servers)


def test_a_topic_that_is_there_is_kept_as_long_as_is_set_from_then_on(servers: Settings) -> None:
    short = Retention(events_days=2, profiles_days=200, interactions_days=20, users_days=100)
    try:
        changed = servers.model_copy(update={"retention": short})
        assert topics.create(changed) == []
        assert_kept(changed)
    finally:
        topics.create(servers)
    assert_kept(servers)


def assert_kept(settings: Settings) -> None:
    """Kafka's settings of each topic are those of the table."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.address)
    resources = [ConfigResource(ConfigResourceType.TOPIC, each.name) for each in topics.TOPICS]
    told = admin.describe_configs(resources)["topic"]
    admin.close()
    for topic in topics.TOPICS:
        found = {key: each["value"] for key, each in told[topic.name].items()}
        assert topic.configuration(settings.retention).items() <= found.items()


def test_other_partition_counts_are_refused_with_the_setting(servers: Settings) -> None:
    other = servers.kafka.model_copy(update={"partitions": servers.kafka.partitions + 1})
    with pytest.raises(AnabranchError, match=r"events\.click.* has 8 partitions.* ANABRANCH_KAFKA__PARTITIONS is 9"):
        topics.create(servers.model_copy(update={"kafka": other}))


def test_an_event_of_twice_the_limit_is_taken_so_that_it_can_be_dead_lettered(servers: Settings) -> None:
    value = b"x" * (2 * MAX_EVENT_BYTES)
    assert last_message(servers, send(servers, "events.rejected", value)) == value


def test_the_schema_is_the_newest_and_migrating_again_changes_nothing(servers: Settings) -> None:
    assert schema.version(servers.cassandra) == schema.newest()
    assert schema.migrate(servers.cassandra) == schema.newest()


def test_killed_servers_come_back_with_all_that_they_acknowledged(servers: Settings) -> None:
    partition = send(servers, "events.rejected", b"kept")
    execute(servers, "INSERT INTO users (shard, user_id, version) VALUES (-1, 'kept', 7)")
    before = pids(servers)
    kill = {server.name: server.process for server in local_servers.servers(servers)}
    for name in ("kafka", "cassandra"):
        process = kill[name].find()
        assert process is not None
        process.kill()
        process.wait()
        assert line(servers, name).next == "anabranch up"
    assert local_servers.up(servers) == servers
    after = pids(servers)
    assert after["triton"] == before["triton"]
    assert after["kafka"] != before["kafka"]
    assert last_message(servers, partition) == b"kept"
    assert execute(servers, "SELECT version FROM users WHERE shard = -1 AND user_id = 'kept'") == [(7,)]
    execute(servers, "DELETE FROM users WHERE shard = -1")
