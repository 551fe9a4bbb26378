"""Users and items are rebuilt beside a running worker. The last of these tests: it moves what they all share."""

import asyncio
import time

import pytest
from rich.console import Console

from deploy.local.worker import running_worker
from streams.adapters import connections, schema
from streams.datasets.movielens import movielens
from streams.events import Click, Forget, Profile
from streams.producer import EventProducer
from streams.rebuild import rebuild
from streams.replay import ListWatcher, play
from streams.settings import Settings
from streams.verify import verify
from tests.integration.running import USER_TOPICS, committed, handled, read_users, until, upload

pytestmark = pytest.mark.servers
QUIET = Console(quiet=True)


def test_users_rebuilt_beside_a_running_worker_are_what_the_log_says_and_the_stream_goes_on_with_them(
    servers: Settings,
) -> None:
    now = time.time()
    activity = [
        Profile(event_id=f"again-p{n}", user_id=f"again-{n}", ts=now - 500, traits={"age": 20 + n}) for n in range(8)
    ] + [
        Click(event_id=f"again-{n}", user_id=f"again-{n % 8}", item_id=str(n % 60 + 1), ts=now - 400 + n)
        for n in range(200)
    ]
    with running_worker(servers) as worker, ListWatcher(servers.kafka.address) as watcher:
        upload(servers, movielens(servers.downloads_folder).uploads[:60])
        with EventProducer(servers.kafka.address) as producer:
            play(producer, activity, before=watcher.expect)
            watcher.wait(patience=60)
            until(lambda: handled(servers, *USER_TOPICS))
            producer.send(Forget(event_id="again-f", user_id="again-7", ts=now))
        until(lambda: handled(servers, "events.forget"))
        done = committed(servers, "events.click")
        old = asyncio.run(read_users(servers, [f"again-{n}" for n in range(8)]))

        outcome = asyncio.run(rebuild(servers, QUIET))

        until(lambda: worker.exit_code() is not None, patience=30)
        assert outcome.after == schema.holder(servers.cassandra).keyspace != outcome.before
        with connections.cassandra(servers.cassandra) as session:
            assert session.execute(f"SELECT count(*) FROM {outcome.before}.users").one()[0] == 0
        new = asyncio.run(read_users(servers, [f"again-{n}" for n in range(8)]))
        assert not new["again-7"].known and new["again-7"].forgotten_at == now
        assert [new[user].history.item_ids for user in old] == [old[user].history.item_ids for user in old]
        assert new["again-1"].profile is not None and old["again-1"].profile is not None
        assert new["again-1"].profile.tolist() == pytest.approx(old["again-1"].profile.tolist(), abs=1e-5)

        worker.start()
        with EventProducer(servers.kafka.address) as producer:
            play(
                producer,
                [Click(event_id=f"more-{n}", user_id=f"again-{n}", item_id="9", ts=now + 1) for n in range(8)],
                before=watcher.expect,
            )
        watcher.wait(patience=60)
        assert watcher.report.unanswered == set()
        until(lambda: handled(servers, *USER_TOPICS))
        assert committed(servers, "events.click") == done + 8
    report = asyncio.run(verify(servers, QUIET))
    assert report.is_clean and report.in_motion == 0, str(report)


def test_with_from_only_what_came_since_counts(servers: Settings) -> None:
    moment = time.time()
    with running_worker(servers) as worker:
        with EventProducer(servers.kafka.address) as producer:
            play(producer, [Click(event_id="since", user_id="again-3", item_id="5", ts=moment)])
        until(lambda: handled(servers, "events.click"))
        assert worker.terminate() == 0
    outcome = asyncio.run(rebuild(servers, QUIET, since=moment, keep=True))
    assert outcome.users == 1 and outcome.events >= 1
    assert asyncio.run(read_users(servers, ["again-3"]))["again-3"].history.item_ids == ["5"]
    with connections.cassandra(servers.cassandra) as session:
        assert session.execute(f"SELECT count(*) FROM {outcome.before}.users").one()[0] > 1
