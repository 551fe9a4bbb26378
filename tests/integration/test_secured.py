"""The whole stream on servers that let in only those they know: `anabranch up --secure`."""

import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from aiohttp import ClientSession
from cassandra import Unauthorized
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from pydantic import SecretStr
from rich.console import Console

from deploy.local import cassandra, kafka, ports, status, triton
from deploy.local import servers as local_servers
from deploy.local.credentials import IDENTITIES, Authority
from deploy.local.worker import RunningWorker, running_worker
from streams import access
from streams.adapters import clients, connections, schema
from streams.adapters.cassandra import CassandraStore
from streams.adapters.kafka import KafkaSink
from streams.errors import AnabranchError, KafkaUnavailable, SinkUnavailable, StoreUnavailable
from streams.events import Click, Upload
from streams.producer import EventProducer
from streams.replay import ListWatcher, indexed_items
from streams.settings import Settings, load
from tests.integration.running import serving

pytestmark = pytest.mark.servers
MODELS = ("text_encoder", "profile_encoder")  # all that these tests need: seconds and memory saved
ROLES = tuple(role for role in IDENTITIES if role != "admin")
Identities = dict[str, Settings]
STRANGER = object()  # stands for the file of the fixture `stranger`


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identities]:
    """Secured servers, and the settings of each who may come in."""
    home, downloads = tmp_path_factory.mktemp("secured"), load().downloads_folder.resolve()
    settings = ports.choose_all(load(home=home, downloads=downloads))
    with pytest.MonkeyPatch.context() as patch:
        for model in MODELS:
            shutil.copytree(triton.MODELS / model, home / "models" / model)
        patch.setattr(triton, "MODELS", home / "models")
        try:
            local_servers.up(settings, secure=True)
            yield {identity: load(identity, home=home, downloads=downloads) for identity in IDENTITIES}
        finally:
            local_servers.down(settings)


@pytest.fixture(scope="module")
def worker(identities: Identities) -> Iterator[RunningWorker]:
    with running_worker(identities["worker"]) as running:
        yield running


def passwords(identities: Identities) -> set[str]:
    accounts = [each for settings in identities.values() for each in (settings.kafka, settings.cassandra)]
    return {account.password.get_secret_value() for account in accounts if account.password}


def test_an_event_of_a_producer_becomes_a_list_for_a_consumer(identities: Identities, worker: RunningWorker) -> None:
    titles = ["Alien", "Aliens", "Cinderella", "Star Wars"]
    with (
        EventProducer(identities["producer"].kafka) as producer,
        ListWatcher(identities["consumer"].kafka) as watcher,
    ):
        for title in titles:
            producer.send(Upload(event_id=f"u-{title}", ts=time.time(), item_id=title, title=title))
        producer.flush()
        deadline = time.monotonic() + 60
        while indexed_items(identities["worker"]) < len(titles) and time.monotonic() < deadline:
            time.sleep(0.1)
        click = Click(event_id="c", ts=time.time(), user_id="ada-lovelace", item_id="Alien")
        watcher.expect(click)
        producer.send(click)
        watcher.wait(patience=30)
        assert {item.item_id for item in watcher.report.users["ada-lovelace"].items} == {
            "Aliens",
            "Cinderella",
            "Star Wars",
        }


def test_status_is_well_and_shows_no_password(identities: Identities, worker: RunningWorker) -> None:
    lines = status.report(identities["admin"])
    assert {line.what: line.next for line in lines if line.next} == {}
    console = Console(width=300, record=True, file=StringIO())
    console.print(status.table(lines, identities["admin"].home))
    shown = console.export_text()
    assert "kafka" in shown and not any(password in shown for password in passwords(identities))


def test_every_user_has_a_password_of_its_own_in_files_that_nobody_else_can_read(identities: Identities) -> None:
    assert len(passwords(identities)) == 5 + 3  # five users of Kafka, three of Cassandra
    assert all(len(password) >= 32 for password in passwords(identities))
    folder = identities["admin"].secrets_folder
    assert folder.stat().st_mode & 0o777 == 0o700
    files = [*folder.iterdir(), folder.parent / "kafka" / "server.properties"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_no_process_shows_a_password_in_its_command_and_no_log_holds_one(
    identities: Identities, worker: RunningWorker
) -> None:
    settings = identities["admin"]
    shown = [(settings.home / "run" / f"{server.name}.pid").read_text() for server in local_servers.servers(settings)]
    logs = [file.read_text(errors="replace") for file in (settings.home / "logs").glob("*.log")]
    assert len(logs) >= 4 and any(logs)
    for text in (*shown, *logs):
        assert not any(password in text for password in passwords(identities))


def test_metrics_tell_neither_users_nor_passwords(identities: Identities, worker: RunningWorker) -> None:
    where = identities["worker"].metrics
    with urlopen(f"http://{where.host}:{where.port}/metrics", timeout=5) as answer:
        shown = answer.read().decode()
    assert "anabranch_lists_emitted_total 1.0" in shown
    assert not any(secret in shown for secret in ("ada-lovelace", *passwords(identities)))


async def test_the_http_server_lets_in_those_with_a_token_and_shows_none(
    identities: Identities, tmp_path: Path
) -> None:
    tokens = {role: role[0] * 40 for role in ("lists", "events", "admin")}
    file = tmp_path / "tokens"
    file.write_text("".join(f"{role} {token}\n" for role, token in tokens.items()))
    with serving(identities["http"], ANABRANCH_HTTP__TOKEN_FILE=str(file)) as address:
        answers = []
        async with ClientSession(f"http://{address}") as session:
            for token in ("", *tokens.values()):
                headers = {"Authorization": f"Bearer {token}"}
                async with session.get("/users/ada-lovelace", headers=headers) as answer:
                    answers.append(answer.status)
            click = {"event_id": "h", "user_id": "ada-lovelace", "item_id": "Aliens", "ts": time.time()}
            headers = {"Authorization": f"Bearer {tokens['events']}"}
            async with session.post("/events/click", json=click, headers=headers) as answer:
                answers.append(answer.status)
            async with session.get("/metrics") as answer:
                shown = await answer.text()
        shown += str(status.report(identities["admin"]))
        shown += (identities["http"].home / "logs" / "http.log").read_text()
    assert answers == [401, 403, 403, 200, 202]
    assert "anabranch_http_seconds" in shown and '"answering"' in shown
    assert not any(secret in shown for secret in ("ada-lovelace", *tokens.values(), *passwords(identities)))


def test_everything_listens_on_loopback_alone_and_at_no_other_port(
    identities: Identities, worker: RunningWorker
) -> None:
    settings = identities["worker"]
    expected = {server.process.find(): server.ports for server in local_servers.servers(settings)}
    expected[psutil.Process(worker.pid)] = [settings.metrics.port]
    for process, known in expected.items():
        assert process is not None
        every = [process, *process.children(recursive=True)]
        found = [it.laddr for one in every for it in one.net_connections("inet") if it.status == psutil.CONN_LISTEN]
        assert {address.ip.removeprefix("::ffff:") for address in found} == {"127.0.0.1"}, process.name()
        assert {address.port for address in found} <= set(known), process.name()


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """Authority and certificate in one file, which the servers know nothing of."""
    authority = Authority("somebody else")
    file = tmp_path / "stranger.pem"
    file.write_bytes(authority.issue("worker") + authority.pem)
    return file


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "wrong password": (
        {"password": SecretStr("not-the-password")},
        r"does not let 'worker' in; check ANABRANCH_{0}__USERNAME and ANABRANCH_{0}__PASSWORD",
    ),
    "nobody": ({"username": None, "password": None}, r"set ANABRANCH_{0}__USERNAME"),
    "in clear": ({"tls": False, "ca_file": None}, r"speaks TLS; set ANABRANCH_{0}__TLS=true"),
    "unknown authority": ({"ca_file": STRANGER}, r"authorities of ANABRANCH_{0}__CA_FILE='.*stranger\.pem' vouch for"),
    "known to the system alone": ({"ca_file": None}, r"is not whom the authorities of this system vouch for"),
}


def told(change: dict[str, Any], stranger: Path) -> dict[str, Any]:
    return {key: stranger if value is STRANGER else value for key, value in change.items()}


@pytest.mark.parametrize("name", WRONG)
async def test_the_worker_is_told_what_keeps_it_out(name: str, identities: Identities, stranger: Path) -> None:
    settings, update = identities["worker"], told(WRONG[name][0], stranger)
    sink = KafkaSink(settings.kafka.model_copy(update=update))
    with pytest.raises(SinkUnavailable, match=WRONG[name][1].format("KAFKA")) as raised:
        await sink.start()
    await sink.close()
    with pytest.raises(StoreUnavailable, match=WRONG[name][1].format("CASSANDRA")) as also:
        await CassandraStore.connect(settings.cassandra.model_copy(update=update), dedup_window=64, request_timeout=5)
    for each in (raised, also):
        shown = "".join(traceback.format_exception(each.value))
        assert not any(password in shown for password in (*passwords(identities), "not-the-password"))


def test_a_producer_with_a_wrong_password_is_told_so(identities: Identities) -> None:
    kafka = identities["producer"].kafka.model_copy(update={"password": SecretStr("not-the-password")})
    with pytest.raises(KafkaUnavailable, match="does not let 'producer' in"):
        EventProducer(kafka, bootstrap_timeout_ms=2_000)


def test_a_mechanism_that_is_off_is_named(identities: Identities) -> None:
    settings = identities["worker"].kafka.model_copy(update={"sasl_mechanism": "SCRAM-SHA-256"})
    assert "does not know ANABRANCH_KAFKA__SASL_MECHANISM='SCRAM-SHA-256'" in (kafka.ailment(settings) or "")


def test_users_come_in_by_scram_and_the_administrator_by_plain(identities: Identities) -> None:
    mechanisms = {name: settings.kafka.sasl_mechanism for name, settings in identities.items()}
    assert mechanisms == {"admin": "PLAIN", **dict.fromkeys(ROLES, "SCRAM-SHA-512")}
    assert {kafka.ailment(settings.kafka) for settings in identities.values()} == {None}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tls": False, "ca_file": None, "certificate_file": None, "key_file": None}, "set ANABRANCH_TRITON__TLS=true"),
        ({"certificate_file": None, "key_file": None}, "wants a certificate; set ANABRANCH_TRITON__CERTIFICATE_FILE"),
        (
            {"certificate_file": STRANGER, "key_file": STRANGER},
            "does not know the certificate ANABRANCH_TRITON__",
        ),
        ({"ca_file": STRANGER}, "is not whom the authorities of ANABRANCH_TRITON__CA_FILE="),
    ],
    ids=["in clear", "without a certificate", "with another's certificate", "unknown authority"],
)
def test_triton_lets_in_those_with_a_certificate_alone(
    change: dict[str, Any], said: str, identities: Identities, stranger: Path
) -> None:
    settings = identities["worker"].triton
    assert triton.ailment(settings) is None
    assert said in (triton.ailment(settings.model_copy(update=told(change, stranger))) or "")


def test_triton_has_no_door_without_tls(identities: Identities) -> None:
    assert not ports.listens(identities["worker"].triton.http_port)


def test_the_user_that_every_new_cassandra_knows_is_locked_out(identities: Identities) -> None:
    known = {"username": "cassandra", "password": SecretStr("cassandra")}
    said = cassandra.ailment(identities["admin"].cassandra.model_copy(update=known))
    assert "does not let 'cassandra' in" in (said or "")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE {keyspace}.users",
        "ALTER TABLE {keyspace}.users DROP history",
        "CREATE TABLE {keyspace}.mine (a int PRIMARY KEY)",
        "DROP KEYSPACE {keyspace}",
        "CREATE KEYSPACE mine WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
        "SELECT * FROM system_auth.roles",
        "GRANT ALL ON KEYSPACE {keyspace} TO worker",
        "ALTER ROLE worker WITH SUPERUSER = true",
        "CREATE ROLE mine",
    ],
)
def test_a_worker_changes_no_table_and_no_right(statement: str, identities: Identities) -> None:
    settings = identities["worker"].cassandra
    with clients.cassandra(settings, request_timeout=10) as cluster, pytest.raises(Unauthorized):
        cluster.connect().execute(statement.format(keyspace=settings.keyspace))


def test_the_http_server_reads_rows_and_writes_none(identities: Identities) -> None:
    settings = identities["http"].cassandra
    with clients.cassandra(settings, request_timeout=10) as cluster:
        session = cluster.connect(settings.keyspace)
        session.execute("SELECT user_id FROM users WHERE shard = 0")
        with pytest.raises(Unauthorized):
            session.execute("DELETE FROM users WHERE shard = 0")


def test_a_worker_whose_schema_is_not_there_yet_says_what_it_may_not_do(identities: Identities) -> None:
    assert schema.migrate(identities["worker"].cassandra) == schema.newest()
    absent = identities["worker"].cassandra.model_copy(update={"keyspace": "absent"})
    with pytest.raises(StoreUnavailable, match=r"worker.*CREATE.*as an administrator: anabranch prepare"):
        schema.migrate(absent)


@pytest.mark.parametrize(
    ("role", "topic"),
    [
        ("producer", "recommendations"),
        ("producer", "items.embedded"),
        ("producer", "interactions"),
        ("producer", "events.rejected"),
        ("consumer", "events.click"),
        ("consumer", "recommendations"),
        ("worker", "events.click"),
        ("http", "recommendations"),
        ("http", "interactions"),
    ],
)
def test_nobody_writes_what_is_anothers_to_write(role: str, topic: str, identities: Identities) -> None:
    with pytest.raises((KafkaError, AnabranchError), match=r"[Aa]uthoriz"):
        producer = EventProducer(identities[role].kafka, max_block_ms=5_000)
        producer.send_raw(topic, b"k", b"{}")
        producer.close()


@pytest.mark.parametrize(
    ("role", "topic", "may"),
    [
        ("consumer", "recommendations", True),
        ("consumer", "events.click", False),
        ("producer", "recommendations", False),
        ("producer", "events.click", False),
        ("worker", "recommendations", False),
        ("http", "recommendations", True),
        ("http", "events.click", False),
    ],
)
def test_nobody_reads_what_is_not_for_them(role: str, topic: str, may: bool, identities: Identities) -> None:
    assert can_read(identities[role], topic) is may


def can_read(settings: Settings, topic: str) -> bool:
    """Whether the topic can be seen and fetched from."""
    consumer = connections.kafka(KafkaConsumer, settings.kafka, group_id=None)
    try:
        if not consumer.partitions_for_topic(topic):
            return False
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        consumer.poll(timeout_ms=2_000)
        return True
    except TopicAuthorizationFailedError:
        return False
    finally:
        consumer.close()


@pytest.mark.parametrize(("group", "may"), [("consumer-page", True), ("page", False), ("anabranch", False)])
def test_a_consumer_has_groups_of_its_own_and_no_others(group: str, may: bool, identities: Identities) -> None:
    consumer = connections.kafka(KafkaConsumer, identities["consumer"].kafka, group_id=group)
    try:
        with nullcontext() if may else pytest.raises(GroupAuthorizationFailedError):
            assert consumer.committed(TopicPartition("recommendations", 0)) is None
    finally:
        consumer.close()


@pytest.mark.parametrize("role", ROLES)
def test_nobody_but_the_administrator_makes_or_drops_topics(role: str, identities: Identities) -> None:
    orders: list[Callable[[Any], Any]] = [
        lambda admin: admin.create_topics([NewTopic("mine", 1, 1)]),
        lambda admin: admin.delete_topics(["events.click"]),
    ]
    for order in orders:
        with (
            pytest.raises(KafkaUnavailable, match="Authorization"),
            connections.kafka_admin(identities[role].kafka) as admin,
        ):
            order(admin)


def test_rights_are_granted_by_the_administrator_alone(identities: Identities) -> None:
    local_servers.prepare(identities["admin"])
    roles = identities["admin"].roles
    with pytest.raises(KafkaUnavailable, match="did not let 'worker' grant rights"):
        access.grant_in_kafka(identities["worker"].kafka, roles)
    with pytest.raises(StoreUnavailable, match="worker"):
        access.grant_in_cassandra(identities["worker"].cassandra, "producer", "SELECT")


def test_a_second_up_changes_nothing_and_needs_no_word(identities: Identities) -> None:
    settings = identities["admin"]
    before = [server.process.find() for server in local_servers.servers(settings)]
    assert local_servers.up(settings) == settings
    assert [server.process.find() for server in local_servers.servers(settings)] == before
