"""A user is forgotten by real servers: every table, topic, file and process is looked through, and may come back."""

import asyncio
import json
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from click.testing import Result
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.consumer.fetcher import ConsumerRecord
from typer.testing import CliRunner

from deploy.local.worker import RunningWorker, running_workers
from streams.adapters import connections
from streams.cli import app
from streams.consumer import ListReader, ask, latest
from streams.core.digest import digest
from streams.events import Click, Forget, Profile, Query, Recommended, Upload, View
from streams.producer import EventProducer
from streams.replay import ListWatcher
from streams.settings import Settings, load
from streams.topics import DAY_MS, TOPICS
from tests.integration.running import TopicReader, read_users, until, upload

pytestmark = pytest.mark.servers
ANYBODYS = {"popular", "trending", "stage", "exploration"}
GONE, STAYS = "forgotten-zaphod", "stays-trillian"
PLAN = "layers: {l: {mix: {arms: {plain: {}, fresh: {exploration_share: 0.2}}}}}"
# What Kafka and Cassandra have replaced or deleted stays in their own files for a while: docs/privacy.md says how long.
FILES_OF_SERVERS = {"kafka", "cassandra"}


@pytest.fixture(scope="module")
def workers(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningWorker]]:
    plan = tmp_path_factory.mktemp("plan") / "plan.yaml"
    plan.write_text(PLAN)
    with running_workers(servers, 2, ANABRANCH_WORKER__EXPERIMENTS=str(plan)) as running:
        until(lambda: all(each.is_ready() for each in running))
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


def topics_that_name(servers: Settings, user_id: str, *, unused: Collection[str] = ()) -> set[str]:
    """The topics that name the user: in any message, or in the last of its key where no other is kept.

    unused  topics that may have no message yet
    """
    named = set()
    for topic in TOPICS:
        reader = TopicReader(servers, topic.name, from_start=True)
        kept: Sequence[ConsumerRecord] = reader.read_all()
        reader.close()
        if topic.compact:
            kept = [each for each in {each.key: each for each in kept}.values() if each.value is not None]
        assert kept or not topic.personal or topic.name in unused, f"{topic.name} is empty: this shows nothing"
        if any(user_id.encode() in part for each in kept for part in _parts(each)):
            named.add(topic.name)
    return named


def _parts(message: ConsumerRecord) -> Iterator[bytes]:
    yield from (message.key or b"", message.value or b"")
    yield from (value or b"" for _, value in message.headers)


def files_that_name(servers: Settings, user_id: str) -> set[str]:
    """The files of our processes, snapshots and logs among them, in which the id is."""
    files = [each for each in servers.home.rglob("*") if each.is_file() and _of_ours(each, servers.home)]
    assert {"worker-0.log", "worker-1.log", "http.log"} <= {each.name for each in files}
    return {str(each.relative_to(servers.home)) for each in files if user_id.encode() in each.read_bytes()}


def _of_ours(file: Path, home: Path) -> bool:
    return file.relative_to(home).parts[0] not in FILES_OF_SERVERS


def snapshots(servers: Settings) -> list[bytes]:
    return [each.read_bytes() for each in servers.snapshot_folder.glob("*")]


def days_kept(servers: Settings, topics: set[str]) -> dict[str, float]:
    """Topic -> for how many days Kafka says that it keeps each message."""
    admin = KafkaAdminClient(bootstrap_servers=servers.kafka.address)
    try:
        told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics])["topic"]
    finally:
        admin.close()
    return {
        topic: float(told[topic]["retention.ms"]["value"]) / DAY_MS
        for topic in topics
        if "delete" in told[topic]["cleanup.policy"]["value"]
    }


def http_status(address: str, path: str) -> int:
    try:
        with urlopen(f"http://{address}{path}", timeout=10) as answer:
            return int(answer.status)
    except HTTPError as refusal:
        return refusal.code


def http_says(address: str, path: str) -> str:
    with urlopen(f"http://{address}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def do(servers: Settings, *events: Click | View | Profile) -> None:
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


def act(servers: Settings, at: float) -> list[Click]:
    """Have both users leave a trace wherever one can be left; the clicks."""
    films = [Upload(event_id=f"f-{n}-{at}", ts=at, item_id=f"f-{n}", title=f"film {n} of space") for n in range(5)]
    upload(servers, films)
    clicks = [click(user, item) for user in (GONE, STAYS) for item in ("f-1", "f-2")]
    for user in (GONE, STAYS):
        view = View(event_id=f"v-{user}-{at}", ts=at, user_id=user, item_id="f-0", dwell_s=1.0)
        do(servers, Profile(event_id=f"p-{user}-{at}", ts=at, user_id=user, traits={"job": "president"}), view)
        assert ask(servers.kafka, Query(event_id=f"q-{user}-{at}", ts=at, user_id=user, text="space")) is not None
    do(servers, *clicks)
    with EventProducer(servers.kafka) as producer:
        producer.send_raw("events.click", GONE.encode(), f'{{"user_id": "{GONE}", "item_id"'.encode())
        producer.flush()
    return clicks


async def test_who_is_forgotten_is_left_only_where_it_is_said_and_expires_and_can_come_back(
    servers: Settings, workers: list[RunningWorker], http: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(servers.home))
    clicks = act(servers, time.time())
    workers[0].terminate()
    workers[0].start()
    until(lambda: all(each.is_ready() for each in workers))
    sent = {topic.name for topic in TOPICS if topic.personal and not topic.compact} - {"experiments"}
    to_come = {"events.forget", "forgotten"}
    until(lambda: topics_that_name(servers, GONE, unused=to_come) == sent - to_come | {"recommendations"})
    assert tables_that_name(servers, GONE) == {"users"}
    assert any(GONE.encode() in each for each in snapshots(servers))
    until(lambda: http_status(http, f"/users/{GONE}") == 200 and GONE in http_says(http, "/activity"))
    exported = await command("export", GONE)
    assert exported.exit_code == 0, exported.output
    held = json.loads(exported.stdout)
    assert [each["item_id"] for each in held["user"]["history"]] == ["f-0", "f-1", "f-2"]
    assert held["user"]["profile"]["traits"] == {"job": "president"}
    assert len(held["user"]["taste"]["totals"]["fused"]) == 256
    assert held["list"]["user_id"] == GONE
    assert [each["item_id"] for each in held["memory"]["session"]] == ["f-0", "f-1", "f-2"]
    assert len(held["memory"]["profile"]) == 256
    other, others_list = (await read_users(servers, [STAYS]))[STAYS], latest(servers.kafka, STAYS)

    taken_back: list[str] = []
    with ListReader(servers.kafka, taken_back=taken_back.append) as reader:
        asked = await command("forget", GONE)
        assert asked.exit_code == 0, asked.output
        assert "3 interactions, a profile" in asked.output and "events.profile 365" in asked.output
        while not taken_back:
            reader.poll(60)
    assert taken_back == [GONE]
    assert tables_that_name(servers, GONE) == set()
    until(lambda: http_status(http, f"/users/{GONE}") == 404 and GONE not in http_says(http, "/activity"))
    until(lambda: not any(GONE.encode() in each for each in snapshots(servers)))
    assert files_that_name(servers, GONE) == set()
    assert (await command("export", GONE)).exit_code == 1
    assert latest(servers.kafka, GONE) is None
    assert latest(servers.kafka, STAYS) == others_list
    assert (await read_users(servers, [STAYS]))[STAYS].version == other.version

    assert topics_that_name(servers, GONE) == sent, "these keep what was sent, for as long as it is said"
    assert topics_that_name(servers, digest(GONE).hex()) == {"experiments"}
    said = {
        topic.name: float(topic.days(servers.retention)) for topic in TOPICS if topic.name in sent | {"experiments"}
    }
    assert days_kept(servers, sent | {"experiments"}) == said and all(said.values())

    for each in workers:  # each leaves what it knows by now
        each.terminate()
    assert len(snapshots(servers)) == 2, "of both"
    assert all(STAYS.encode() in each and GONE.encode() not in each for each in snapshots(servers))
    for each in workers:
        each.start()
    until(lambda: all(each.is_ready() for each in workers))
    assert http_status(http, f"/users/{STAYS}") == 200

    with EventProducer(servers.kafka) as producer:
        producer.send(clicks[0])  # delivered again
    do(servers, click(GONE, "f-3"))
    back = (await read_users(servers, [GONE]))[GONE]
    assert back.history.item_ids == ["f-3"] and back.profile is None
    newest = latest(servers.kafka, GONE)
    assert newest is not None and newest.list_version == back.version
    assert {"f-1", "f-2"} <= {item.item_id for item in newest.items}, "what was touched before may be shown again"


async def test_a_hundred_users_are_forgotten_one_after_the_other_and_it_is_told_how_long_each_took(
    servers: Settings, workers: list[RunningWorker], http: str, capsys: pytest.CaptureFixture[str]
) -> None:
    users = [f"of-a-hundred-{n}" for n in range(100)]
    at = time.time()
    upload(servers, [Upload(event_id=f"c-{n}-{at}", ts=at, item_id=f"c-{n}", title=f"a fish {n}") for n in range(5)])
    do(servers, *(click(user, f"c-{n % 5}") for n, user in enumerate(users)))
    until(lambda: all(http_status(http, f"/users/{user}") == 200 for user in users))
    confirmed, unknown = [], []  # seconds from the request until it was confirmed, and HTTP knew nobody of that name
    answers = TopicReader(servers, "forgotten")
    with EventProducer(servers.kafka, linger_ms=0) as producer:
        for user in users:
            began = time.perf_counter()
            producer.send(Forget(event_id=f"bye-{user}-{at}", ts=time.time(), user_id=user))
            [answer] = answers.read(1)
            confirmed.append(time.perf_counter() - began)
            assert answer.key == user.encode()
            while http_status(http, f"/users/{user}") != 404:
                assert time.perf_counter() < began + 60
            unknown.append(time.perf_counter() - began)
    answers.close()
    assert not any(each.known for each in (await read_users(servers, users)).values())
    with capsys.disabled():
        for name, seconds in (("confirmed", confirmed), ("unknown over HTTP", unknown)):
            half, most = np.quantile(seconds, (0.5, 0.99)) * 1000
            print(f"\n{name}: half of {len(users)} users within {half:.1f} ms, 99 of 100 within {most:.1f} ms", end="")


async def test_who_allows_no_profiling_gets_anybodys_list_and_is_in_no_table(
    servers: Settings, workers: list[RunningWorker], monkeypatch: pytest.MonkeyPatch
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
    servers: Settings, workers: list[RunningWorker], monkeypatch: pytest.MonkeyPatch
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
    assert tables_that_name(servers, real) | topics_that_name(servers, real) | files_that_name(servers, real) == set()
    for words in (("recs", real), ("explain", real, "k-0"), ("export", real), ("forget", real)):
        done = await command(*words)
        assert done.exit_code == 0, done.output
    assert "2 interactions" in done.output
    assert (await command("export", real)).exit_code == 1
