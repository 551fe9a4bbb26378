"""Workers that join, leave, and sleep through it, on real Kafka, Cassandra and Triton."""

from itertools import islice

import pytest

from deploy.local.worker import running_worker, running_workers
from streams.datasets.dataset import as_of_another
from streams.datasets.movielens import movielens
from streams.events import Click, Profile, View
from streams.producer import EventProducer
from streams.replay import ListWatcher, play
from streams.settings import Settings
from tests.integration.running import (
    USER_TOPICS,
    Catalogue,
    assert_as_replayed,
    owners,
    until,
    upload,
)

pytestmark = pytest.mark.servers
Activity = list[Profile | Click | View]


@pytest.fixture(scope="module")
def catalogue(servers: Settings) -> Catalogue:
    with running_worker(servers) as worker:
        vectors = upload(servers, movielens(servers.downloads_folder).uploads[:300])
        worker.terminate()
    return vectors


def people(servers: Settings, name: str, count: int) -> Activity:
    """Real activity, as if of people whom no other test knows."""
    activity = islice(movielens(servers.downloads_folder).with_sign_ups(), count)
    return [as_of_another(event, name) for event in activity]


async def test_workers_that_join_and_leave_share_all_partitions_and_no_user(
    servers: Settings, catalogue: Catalogue
) -> None:
    activity = people(servers, "commuter", 6_000)
    with (
        EventProducer(servers.kafka.address) as producer,
        ListWatcher(servers.kafka.address) as watcher,
        running_workers(servers, 3) as workers,
    ):
        until(lambda: len(owners(servers)) == 3)
        seen = []
        for topics in owners(servers).values():
            shares = {frozenset(topics[topic]) for topic in USER_TOPICS}
            assert len(shares) == 1, f"the events of one user go to different workers: {topics}"
            seen += shares.pop()
        assert sorted(seen) == list(range(servers.kafka.partitions))

        third = len(activity) // 3
        play(producer, activity[:third], before=watcher.expect)
        assert workers[0].terminate() == 0
        play(producer, activity[third : 2 * third], before=watcher.expect)
        workers[0].start()
        until(lambda: len(owners(servers)) == 3)
        play(producer, activity[2 * third :], before=watcher.expect)
        watcher.wait(patience=60)
        assert watcher.report.unanswered == set()
        assert [worker.exit_code() for worker in workers] == [None, None, None], "none failed on the way"
        await assert_as_replayed(servers, activity, catalogue)


async def test_a_worker_that_sleeps_while_its_partitions_move_changes_nothing_when_it_wakes(
    servers: Settings, catalogue: Catalogue
) -> None:
    activity = people(servers, "dreamer", 8_000)
    half = len(activity) // 2
    with (
        EventProducer(servers.kafka.address) as producer,
        ListWatcher(servers.kafka.address) as watcher,
        running_workers(servers, 2, ANABRANCH_KAFKA__SESSION_TIMEOUT_SECONDS="6") as (sleeper, owner),
    ):
        until(lambda: len(owners(servers)) == 2)
        play(producer, activity[:half], before=watcher.expect)
        watcher.wait_for(lambda report: len(report.unanswered) < half - 200, patience=60)
        sleeper.sleep()  # amid its batches
        assert watcher.report.unanswered, "all was answered before it slept: the test has shown nothing"
        until(lambda: len(owners(servers)) == 1)
        play(producer, activity[half:], before=watcher.expect)
        watcher.wait(patience=60)
        assert watcher.report.unanswered == set(), "the other worker has everything"
        await assert_as_replayed(servers, activity, catalogue)
        newest = {user_id: each.list_version for user_id, each in watcher.report.users.items()}

        sleeper.wake()
        until(lambda: sleeper.exit_code() is not None or len(owners(servers)) == 2)
        assert sleeper.exit_code() in (None, 70), "fenced it ends, idle it joins anew"
        assert {user_id: each.list_version for user_id, each in watcher.report.users.items()} == newest
        await assert_as_replayed(servers, activity, catalogue)
        assert owner.exit_code() is None
