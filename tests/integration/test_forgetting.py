"""A user is forgotten by real servers: no table and no current list names them, and they can come back."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence

import pytest
from click.testing import Result
from kafka.consumer.fetcher import ConsumerRecord
from typer.testing import CliRunner

from deploy.local.worker import RunningWorker, running_worker
from streams.adapters import connections
from streams.cli import app
from streams.consumer import ListReader, latest
from streams.events import Click, Profile, Recommended, Upload
from streams.producer import EventProducer
from streams.replay import ListWatcher
from streams.settings import Settings, load
from streams.topics import TOPICS
from tests.integration.running import TopicReader, read_users, upload

pytestmark = pytest.mark.servers
ANYBODYS = {"popular", "trending", "stage", "exploration"}
GONE, STAYS = "forgotten-zaphod", "stays-trillian"


@pytest.fixture(scope="module")
def worker(servers: Settings) -> Iterator[RunningWorker]:
    with running_worker(servers) as running:
        yield running


def tables_that_name(servers: Settings, user_id: str) -> set[str]:
    """The tables of our keyspace in any of whose rows and columns the id is, as text or as bytes."""
    with connections.cassandra(servers.cassandra) as session:
        tables = session.cluster.metadata.keyspaces[servers.cassandra.keyspace].tables
        assert {"users", "items", "forgotten", "owners"} <= set(tables)
        return {
            table
            for table in tables
            for row in session.execute(f"SELECT * FROM {servers.cassandra.keyspace}.{table}")
            for value in row
            if user_id in str(value) or user_id.encode().hex() in (value.hex() if isinstance(value, bytes) else "")
        }


def compacted_topics_that_name(servers: Settings, user_id: str) -> set[str]:
    """The topics that are to keep the last message of each key for ever, and one that names the user."""
    named = set()
    for topic in (each for each in TOPICS if each.compact):
        reader = TopicReader(servers, topic.name, from_start=True)
        last: dict[bytes, ConsumerRecord] = {each.key: each for each in reader.read_all()}
        reader.close()
        current = [each for each in last.values() if each.value is not None]
        assert current or not topic.personal, f"{topic.name} is empty: this shows nothing"
        if any(user_id.encode() in part for each in current for part in (each.key, each.value)):
            named.add(topic.name)
    return named


def do(servers: Settings, *events: Click | Profile) -> None:
    with EventProducer(servers.kafka) as producer, ListWatcher(servers.kafka) as watcher:
        for event in events:
            watcher.expect(event)
            producer.send(event)
        watcher.wait(patience=60)
        assert not watcher.report.unanswered


async def command(*words: str) -> Result:
    """`anabranch ...`, on a thread of its own as it runs its own loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, words, env={"COLUMNS": "200"})


def click(user_id: str, item: str) -> Click:
    at = time.time()
    return Click(event_id=f"{user_id}-{item}-{at}", ts=at, user_id=user_id, item_id=item)


async def test_who_is_forgotten_is_in_no_table_and_no_list_and_can_come_back(
    servers: Settings, worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(servers.home))
    at = time.time()
    films = [Upload(event_id=f"f-{n}-{at}", ts=at, item_id=f"f-{n}", title=f"film {n} of space") for n in range(5)]
    upload(servers, films)
    profile = Profile(event_id=f"p-{at}", ts=at, user_id=GONE, traits={"job": "president"})
    clicks = [click(user, item) for user in (GONE, STAYS) for item in ("f-1", "f-2")]
    do(servers, profile, *clicks)
    assert tables_that_name(servers, GONE) == {"users"}
    assert compacted_topics_that_name(servers, GONE) == {"recommendations"}
    exported = await command("export", GONE)
    assert exported.exit_code == 0, exported.output
    held = json.loads(exported.stdout)
    assert [each["item_id"] for each in held["user"]["history"]] == ["f-1", "f-2"]
    assert held["user"]["profile"]["traits"] == {"job": "president"}
    assert len(held["user"]["taste"]["totals"]["fused"]) == 256
    assert held["list"]["user_id"] == GONE
    other, others_list = (await read_users(servers, [STAYS]))[STAYS], latest(servers.kafka, STAYS)

    taken_back: list[str] = []
    with ListReader(servers.kafka, taken_back=taken_back.append) as reader:
        asked = await command("forget", GONE)
        assert asked.exit_code == 0, asked.output
        assert "2 interactions, a profile" in asked.output and "events.profile 365" in asked.output
        while not taken_back:
            reader.poll(60)
    assert taken_back == [GONE]
    assert tables_that_name(servers, GONE) == set()
    assert compacted_topics_that_name(servers, GONE) == set()
    assert (await command("export", GONE)).exit_code == 1
    assert latest(servers.kafka, GONE) is None
    assert latest(servers.kafka, STAYS) == others_list
    assert (await read_users(servers, [STAYS]))[STAYS].version == other.version

    with EventProducer(servers.kafka) as producer:
        producer.send(clicks[0])  # delivered again
    do(servers, click(GONE, "f-3"))
    back = (await read_users(servers, [GONE]))[GONE]
    assert back.history.item_ids == ["f-3"] and back.profile is None
    newest = latest(servers.kafka, GONE)
    assert newest is not None and newest.list_version == back.version
    assert {"f-1", "f-2"} <= {item.item_id for item in newest.items}, "what was touched before may be shown again"


async def test_who_allows_no_profiling_gets_anybodys_list_and_is_in_no_table(
    servers: Settings, worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(servers.home))
    shy, at = "shy-arthur", time.time()
    upload(servers, [Upload(event_id=f"s-{n}-{at}", ts=at, item_id=f"s-{n}", title=f"a tea of {n}") for n in range(5)])
    do(servers, click(STAYS, "s-1"), click(STAYS, "s-2"), click(shy, "s-1"))
    assert {item.reason for item in _list(servers, shy)} - ANYBODYS
    do(servers, Profile(event_id=f"o-{at}", ts=time.time(), user_id=shy, profiling=False))
    assert {item.reason for item in _list(servers, shy)} <= ANYBODYS
    do(servers, click(shy, "s-2"))
    assert {item.reason for item in _list(servers, shy)} <= ANYBODYS
    assert tables_that_name(servers, shy) == set()
    for user, said in ((shy, "none of your latest items speaks for it"), (STAYS, "without your click on")):
        explained = await command("explain", user, _list(servers, user)[0].item_id)
        assert explained.exit_code == 0 and said in explained.output, explained.output
    with connections.cassandra(servers.cassandra) as session:
        left = session.execute(f"SELECT ttl(consent), consent FROM {servers.cassandra.keyspace}.forgotten")
        assert {row[0] for row in left if row.consent and '"profiling":false' in row.consent} == {None}, "it expires"
    do(servers, Profile(event_id=f"a-{at}", ts=time.time(), user_id=shy, profiling=True), click(shy, "s-3"))
    assert (await read_users(servers, [shy]))[shy].history.item_ids == ["s-3"]


def _list(servers: Settings, user_id: str) -> Sequence[Recommended]:
    newest = latest(servers.kafka, user_id)
    assert newest is not None
    return newest.items


async def test_under_a_key_nothing_stored_names_the_user_and_every_command_takes_the_real_id(
    servers: Settings, worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(servers.home))
    monkeypatch.setenv("ANABRANCH_KAFKA__PSEUDONYM_KEY", "marvin's secret, of 32 characters")
    real, kafka = "hidden-marvin", load(home=servers.home).kafka
    at = time.time()
    upload(servers, [Upload(event_id=f"k-{n}-{at}", ts=at, item_id=f"k-{n}", title=f"a robot {n}") for n in range(3)])
    clicks = [Click(event_id=f"h-{n}-{at}", ts=at, user_id=real, item_id=f"k-{n}") for n in (1, 2)]
    with EventProducer(kafka) as producer, ListWatcher(servers.kafka) as watcher:
        for event in clicks:
            watcher.expect(event)
            producer.send(event)
        watcher.wait(patience=60)
        assert not watcher.report.unanswered
    assert tables_that_name(servers, real) == set() and compacted_topics_that_name(servers, real) == set()
    for words in (("recs", real), ("explain", real, "k-0"), ("export", real), ("forget", real)):
        done = await command(*words)
        assert done.exit_code == 0, done.output
    assert "2 interactions" in done.output
    assert (await command("export", real)).exit_code == 1
