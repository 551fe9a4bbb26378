"""The whole stream on real Kafka, Cassandra and Triton."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from deploy.local import servers as local_servers
from deploy.local import status
from deploy.local.worker import RunningWorker, running_worker
from streams.core.vectors import Vector
from streams.datasets.dataset import Dataset
from streams.datasets.movielens import movielens
from streams.events import Click, Profile, Upload
from streams.producer import EventProducer
from streams.replay import ListWatcher, play
from streams.settings import Settings
from tests.integration.running import TopicReader, assert_as_replayed, committed, upload
from tests.test_events import bad_clicks

pytestmark = pytest.mark.servers
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def dataset(servers: Settings) -> Dataset:
    return movielens(servers.downloads_folder)


@pytest.fixture(scope="module")
def worker(servers: Settings) -> Iterator[RunningWorker]:
    with running_worker(servers) as running:
        yield running


@pytest.fixture(scope="module")
def catalogue(servers: Settings, worker: RunningWorker, dataset: Dataset) -> dict[str, dict[str, Vector]]:
    """The films, uploaded; their vectors."""
    return upload(servers, dataset.uploads)


async def test_a_worker_killed_mid_replay_loses_nothing_and_counts_nothing_twice(
    servers: Settings, worker: RunningWorker, dataset: Dataset, catalogue: dict[str, dict[str, Vector]]
) -> None:
    activity = list(islice(dataset.with_sign_ups(), 6_000))
    before = committed(servers, "events.click")
    with (
        EventProducer(servers.kafka.address) as producer,
        ListWatcher(servers.kafka.address) as watcher,
    ):
        play(producer, activity, before=watcher.expect)
        watcher.wait_for(lambda report: len(report.unanswered) < len(activity) * 2 // 3, patience=60)
        worker.kill()
        unanswered = len(watcher.report.unanswered)
        worker.start()
        watcher.wait(patience=60)
        assert unanswered > 0, "the worker was through before it was killed: the test has shown nothing"
        assert watcher.report.unanswered == set()
    await assert_as_replayed(servers, activity, catalogue)
    assert worker.terminate() == 0, "asked to stop, it ends in good order"
    clicks = sum(isinstance(event, Click) for event in activity)
    assert committed(servers, "events.click") - before == clicks, "what was handled is committed before the end"
    worker.start()


def test_ten_thousand_malformed_events_are_dead_lettered_and_disturb_no_good_one(
    servers: Settings, worker: RunningWorker, dataset: Dataset, catalogue: dict[str, dict[str, Vector]]
) -> None:
    letters = TopicReader(servers, "events.rejected")
    kinds = bad_clicks(time.time())
    small = [(reason, value) for reason, value in kinds if len(value or b"") < 1_000]
    large = [(reason, value) for reason, value in kinds if len(value or b"") >= 1_000]
    bad = [*large * 3, *(small[at % len(small)] for at in range(10_000 - 3 * len(large)))]
    good = [
        Click(event_id=f"amid-{n}", user_id=f"steady-{n % 40}", item_id=str(n // 40 + 1), ts=NOW + n)
        for n in range(1_000)
    ]
    with (
        EventProducer(servers.kafka.address) as producer,
        ListWatcher(servers.kafka.address) as watcher,
    ):
        for n, (_, value) in enumerate(bad):
            producer.send_raw("events.click", b"ada", value)
            if n % 10 == 0:
                watcher.expect(good[n // 10])
                producer.send(good[n // 10])
        producer.flush()
        watcher.wait(patience=60)
        assert watcher.report.unanswered == set()
        assert set(watcher.report.users) == {f"steady-{n}" for n in range(40)}
    rejected = letters.read(len(bad))
    letters.close()
    found = Counter((dict(each.headers)["reason"].decode(), each.value or None) for each in rejected)
    assert found == Counter((reason, value or None) for reason, value in bad)
    assert len({reason for reason, _ in bad}) >= 12


async def test_a_new_users_first_event_brings_a_list(
    servers: Settings, catalogue: dict[str, dict[str, Vector]]
) -> None:
    with (
        EventProducer(servers.kafka.address) as producer,
        ListWatcher(servers.kafka.address) as watcher,
    ):
        profile = Profile(event_id="p-newcomer", ts=NOW, user_id="newcomer", traits={"age": 33, "occupation": "writer"})
        watcher.expect(profile)
        producer.send(profile)
        watcher.wait(patience=30)
        assert len(watcher.report.users["newcomer"].items) == servers.worker.list_length


def test_an_item_just_uploaded_reaches_those_who_like_its_kind_at_their_next_event(
    servers: Settings, dataset: Dataset, catalogue: dict[str, dict[str, Vector]]
) -> None:
    announced = TopicReader(servers, "items.embedded")
    sequel = Upload(event_id="u-sequel", ts=NOW, item_id="sequel", title="Star Trek: The Voyage Goes On (1998)")
    likes = {
        "trekker": [
            "Star Trek: First Contact (1996)",
            "Star Trek: Generations (1994)",
            "Star Trek VI: The Undiscovered Country (1991)",
        ],
        "romantic": ["Sense and Sensibility (1995)", "English Patient, The (1996)", "Shall We Dance? (1996)"],
    }
    films = {film.title: film.item_id for film in dataset.uploads}
    with (
        EventProducer(servers.kafka.address) as producer,
        ListWatcher(servers.kafka.address) as watcher,
    ):
        producer.send(sequel)
        producer.flush()
        assert announced.read(1)[0].key == b"sequel"
        for kind, titles in likes.items():
            for fan in range(150):
                for n, title in enumerate(titles):
                    click = Click(
                        event_id=f"{kind}-{fan}-{n}", user_id=f"{kind}-{fan}", item_id=films[title], ts=NOW + n
                    )
                    watcher.expect(click)
                    producer.send(click)
        watcher.wait(patience=30)
        reached = Counter(
            user_id.partition("-")[0]
            for user_id, list_ in watcher.report.users.items()
            if "sequel" in [item.item_id for item in list_.items]
        )
    # One place in twenty is for new items, drawn by closeness to the taste with some chance: many are asked.
    assert reached["trekker"] > reached["romantic"], reached


def test_what_the_worker_measures_can_be_scraped(servers: Settings, worker: RunningWorker) -> None:
    from urllib.request import urlopen

    body = urlopen(f"http://{servers.metrics.host}:{servers.metrics.port}/metrics", timeout=5).read().decode()
    for name in (
        "anabranch_events_total",
        "anabranch_events_rejected_total",
        "anabranch_lists_emitted_total",
        "anabranch_event_to_list_seconds_bucket",
        'anabranch_stage_seconds_bucket{le="0.001",stage="rank"}',
        "anabranch_consumer_lag_events",
        "anabranch_batch_events_bucket",
        "anabranch_index_items",
    ):
        assert name in body


@pytest.mark.parametrize("name", ["kafka", "cassandra", "triton"])
def test_a_worker_tells_which_server_does_not_answer_and_when_it_is_back(
    servers: Settings, worker: RunningWorker, name: str
) -> None:
    server = next(each for each in local_servers.servers(servers) if each.name == name).process.find()
    assert server is not None
    await_line(servers, lambda line: line.next is None)
    server.suspend()
    try:
        ill = await_line(servers, lambda line: line.next is not None)
        assert ill.detail.startswith(f"{name}: ") and ill.next == "anabranch up"
    finally:
        server.resume()
    await_line(servers, lambda line: line.next is None)


def await_line(settings: Settings, expected: Callable[[status.Line], bool]) -> status.Line:
    """What `anabranch status` says of the worker, once it is as expected."""
    deadline = time.monotonic() + 60
    while not expected(line := status.worker(settings)):
        assert time.monotonic() < deadline, line
        time.sleep(0.1)
    return line


def test_no_log_of_the_worker_names_a_failed_batch(servers: Settings) -> None:
    assert "batch failed" not in Path(servers.home / "logs" / "worker.log").read_text()
