"""A Cassandra that answers, but late: events wait in Kafka, nothing is committed that is not stored, nobody is lost."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from urllib.request import urlopen

import msgspec
import pytest
from kafka.consumer.fetcher import ConsumerRecord
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import ports
from deploy.local.worker import running_worker
from streams.datasets.dataset import as_of_another
from streams.datasets.movielens import movielens
from streams.events import Click
from streams.producer import EventProducer
from streams.replay import ListWatcher, play
from streams.settings import Cassandra, Settings
from streams.web.health import Report
from tests.integration.running import (
    USER_TOPICS,
    TopicReader,
    assert_as_replayed,
    handled,
    owners,
    progress,
    read_users,
    until,
    upload,
)

pytestmark = pytest.mark.servers
ANSWER_SECONDS = 3.0  # later than a look at the health waits for, and sooner than a request gives up


class SlowLink:
    """Carries what clients and a server say to each other; answers arrive `seconds` after they were given.

    It delays and does not narrow: however much is asked at once, each answer is late by as much.
    """

    def __init__(self, server: Cassandra) -> None:
        self.seconds = 0.0
        self.port = 0
        self._server = server

    async def listen(self) -> None:
        listening = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]

    async def _carry(self, asking: asyncio.StreamReader, asker: asyncio.StreamWriter) -> None:
        answering, server = await asyncio.open_connection(self._server.host, self._server.port)
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        ways = [self._ask(asking, server), self._take(answering, late), self._give(late, asker)]
        tasks = [asyncio.create_task(each) for each in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
        asker.close()

    async def _ask(self, asking: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await asking.read(65_536):
            server.write(data)

    async def _take(self, answering: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes]]) -> None:
        while data := await answering.read(65_536):
            late.put_nowait((asyncio.get_running_loop().time() + self.seconds, data))

    async def _give(self, late: asyncio.Queue[tuple[float, bytes]], asker: asyncio.StreamWriter) -> None:
        while True:
            due, data = await late.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            asker.write(data)


@contextmanager
def slow_link(server: Cassandra) -> Iterator[SlowLink]:
    """One on this host, on a thread of its own."""
    link, loop = SlowLink(server), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(link.listen(), loop).result()
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def clicks(settings: Settings, count: int) -> list[Click]:
    """Real ones, as if of people whom no other test knows."""
    dataset = movielens(settings.downloads_folder)
    own = (as_of_another(each, "patient") for each in dataset.activity)
    return list(islice((each for each in own if isinstance(each, Click)), count))


def waiting(port: int) -> int:
    """Clicks that wait, as the worker shows them."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = {each.name: each for each in text_string_to_metric_families(answer.read().decode())}
    lag = families["anabranch_consumer_lag_events"].samples
    return int(sum(each.value for each in lag if each.labels["topic"] == "events.click"))


def left(settings: Settings) -> int:
    """Clicks that are not committed, as Kafka has it."""
    return sum(end - done for done, end in progress(settings, "events.click").values())


async def not_stored(settings: Settings, messages: Sequence[ConsumerRecord]) -> list[str]:
    """Of these clicks those that are committed, and yet not in Cassandra."""
    committed = {partition: done for partition, (done, _) in progress(settings, "events.click").items()}
    done = [msgspec.json.decode(each.value, type=Click) for each in messages if each.offset < committed[each.partition]]
    users = await read_users(settings, list({each.user_id for each in done}))
    return [
        each.event_id
        for each in done
        if each.user_id not in users or each.event_id not in users[each.user_id].recent_events
    ]


async def test_while_cassandra_is_slow_events_wait_in_kafka_and_neither_they_nor_partitions_are_lost(
    servers: Settings,
) -> None:
    activity, port = clicks(servers, 4_000), ports.choose()
    sent = TopicReader(servers, "events.click")
    with (
        slow_link(servers.cassandra) as link,
        running_worker(
            servers,
            "patient",
            {
                "ANABRANCH_CASSANDRA__PORT": str(link.port),
                "ANABRANCH_METRICS__PORT": str(port),
                "ANABRANCH_WORKER__BATCH_SIZE": "20",
            },
        ) as worker,
        EventProducer(servers.kafka.address) as producer,
        ListWatcher(servers.kafka.address) as watcher,
    ):
        until(worker.is_ready, patience=600)
        catalogue = upload(servers, movielens(servers.downloads_folder).uploads[:60])
        play(producer, activity[:500], before=watcher.expect)
        watcher.wait(patience=60)
        until(lambda: handled(servers, *USER_TOPICS))
        until(lambda: len(owners(servers)) == 1)
        members = owners(servers)

        link.seconds = ANSWER_SECONDS
        play(producer, activity[500:1_500], before=watcher.expect)
        until(lambda: "cassandra" in (worker.report() or Report({}, [])).wrong)
        play(producer, activity[1_500:], before=watcher.expect)
        until(lambda: waiting(port) >= left(servers))
        messages = sent.read(len(activity))
        for _ in range(2):
            before = left(servers)
            until(lambda: left(servers) < before)  # noqa: B023 (called at once)
            assert await not_stored(servers, messages) == []
        assert left(servers), "all was handled before it could be late: the test has shown nothing"
        assert owners(servers) == members, "the group has heard of the worker all the time"

        link.seconds = 0.0
        watcher.wait(patience=60)
        assert watcher.report.unanswered == set()
        until(worker.is_ready)
        await assert_as_replayed(servers, activity, catalogue)
        assert worker.terminate() == 0
    sent.close()
