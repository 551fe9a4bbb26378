"""Users and items are rebuilt beside a running worker, in keyspaces and a group of their own: others are not moved.

The keyspaces have copies by data centre, as where there are several.
"""

import asyncio
import time

import pytest
from rich.console import Console

from deploy.local.worker import running_worker
from streams.adapters import connections, schema
from streams.datasets.movielens import movielens
from streams.errors import AnabranchError, KafkaUnavailable
from streams.event_log import EventLog
from streams.events import EVENT_TYPES, Click, Forget, Profile
from streams.producer import EventProducer
from streams.rebuild import rebuild
from streams.replay import ListWatcher, play
from streams.settings import Settings
from streams.verify import verify
from tests.integration.running import USER_TOPICS, committed, handled, read_users, until, upload

pytestmark = pytest.mark.servers
QUIET = Console(quiet=True)
HERE = "datacenter1"  # the name that a lone node of Cassandra gives to where it is
APART = {
    "ANABRANCH_CASSANDRA__KEYSPACE": "apart",
    "ANABRANCH_CASSANDRA__DATACENTER": HERE,
    "ANABRANCH_KAFKA__GROUP": "apart",
}


@pytest.fixture(scope="module")
def apart(servers: Settings) -> Settings:
    """The same servers; what other tests have sent counts as handled."""
    settings = servers.model_copy(
        update={
            "cassandra": servers.cassandra.model_copy(
                update={"keyspace": "apart", "datacenters": {HERE: 1}, "datacenter": HERE}
            ),
            "kafka": servers.kafka.model_copy(update={"group": "apart"}),
        }
    )
    schema.migrate(settings.cassandra)
    with EventLog(settings.kafka) as log:
        log.rewind(log.ends(list(EVENT_TYPES)))
    return settings


def test_users_rebuilt_beside_a_running_worker_are_what_the_log_says_and_the_stream_goes_on_with_them(
    apart: Settings,
) -> None:
    now = time.time()
    activity = [
        Profile(event_id=f"again-p{n}", user_id=f"again-{n}", ts=now - 500, traits={"age": 20 + n}) for n in range(8)
    ] + [
        Click(event_id=f"again-{n}", user_id=f"again-{n % 8}", item_id=str(n % 60 + 1), ts=now - 400 + n)
        for n in range(200)
    ]
    with running_worker(apart, environment=APART) as worker, ListWatcher(apart.kafka.address) as watcher:
        upload(apart, movielens(apart.downloads_folder).uploads[:60])
        with EventProducer(apart.kafka.address) as producer:
            play(producer, activity, before=watcher.expect)
            watcher.wait(patience=60)
            until(lambda: handled(apart, *USER_TOPICS))
            producer.send(Forget(event_id="again-f", user_id="again-7", ts=now))
            producer.send(Profile(event_id="quiet-p", user_id="quiet", ts=now, profiling=False))
        until(lambda: handled(apart, "events.forget", "events.profile"))
        done = committed(apart, "events.click")
        old = asyncio.run(read_users(apart, [f"again-{n}" for n in range(8)]))

        outcome = asyncio.run(rebuild(apart, QUIET))

        until(lambda: worker.exit_code() is not None, patience=30)
        assert outcome.after == schema.holder(apart.cassandra).keyspace != outcome.before
        with connections.cassandra(apart.cassandra) as session:
            assert session.execute(f"SELECT count(*) FROM {outcome.before}.users").one()[0] == 0
        new = asyncio.run(read_users(apart, [f"again-{n}" for n in range(8)]))
        assert not new["again-7"].known and new["again-7"].forgotten_at == now
        assert not asyncio.run(read_users(apart, ["quiet"]))["quiet"].consent.profiling
        assert [new[user].history.item_ids for user in old] == [old[user].history.item_ids for user in old]
        assert new["again-1"].profile is not None and old["again-1"].profile is not None
        assert new["again-1"].profile.tolist() == pytest.approx(old["again-1"].profile.tolist(), abs=1e-5)

        worker.start()
        with EventProducer(apart.kafka.address) as producer:
            play(
                producer,
                [Click(event_id=f"more-{n}", user_id=f"again-{n}", item_id="9", ts=now + 1) for n in range(8)],
                before=watcher.expect,
            )
        watcher.wait(patience=60)
        assert watcher.report.unanswered == set()
        until(lambda: handled(apart, *USER_TOPICS))
        assert committed(apart, "events.click") == done + 8
    report = asyncio.run(verify(apart, QUIET))
    assert report.is_clean and report.in_motion == 0, str(report)


def test_with_from_only_what_came_since_counts(apart: Settings) -> None:
    moment = time.time()
    with running_worker(apart, environment=APART) as worker:
        with EventProducer(apart.kafka.address) as producer:
            play(producer, [Click(event_id="since", user_id="again-3", item_id="5", ts=moment)])
        until(lambda: handled(apart, "events.click"))
        assert worker.terminate() == 0
    outcome = asyncio.run(rebuild(apart, QUIET, since=moment, keep=True))
    assert outcome.users == 1 and outcome.events >= 1
    assert asyncio.run(read_users(apart, ["again-3"]))["again-3"].history.item_ids == ["5"]
    assert not asyncio.run(read_users(apart, ["quiet"]))["quiet"].consent.profiling, "an objection outlives the log"
    with connections.cassandra(apart.cassandra) as session:
        assert session.execute(f"SELECT count(*) FROM {outcome.before}.users").one()[0] > 1


def test_from_a_place_of_the_log_the_message_there_counts_and_what_came_since(apart: Settings) -> None:
    with EventLog(apart.kafka) as log:
        before = log.ends(["events.click"])
        with EventProducer(apart.kafka.address) as producer:
            play(
                producer,
                [Click(event_id=f"at-{n}", user_id="again-4", item_id=str(n), ts=time.time()) for n in range(1, 4)],
            )
        [(place, first)] = log.ends(["events.click"]).items() - before.items()
        log.rewind(log.ends(list(EVENT_TYPES)))
        with pytest.raises(AnabranchError, match=f"has no message at offset {first}: it has those from 0 to before"):
            log.arrival(place, first)
        with pytest.raises(AnabranchError, match="has no partition 99"):
            log.arrival(place._replace(partition=99), 0)
    outcome = asyncio.run(rebuild(apart, QUIET, since={place: first - 2}))
    assert outcome.users == 1
    assert asyncio.run(read_users(apart, ["again-4"]))["again-4"].history.item_ids == ["2", "3"]


def test_what_was_made_in_vain_is_dropped_and_what_was_kept_when_told_to(
    apart: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keyspaces() -> set[str]:
        with connections.cassandra(apart.cassandra) as session:
            return {name for name in session.cluster.metadata.keyspaces if name.startswith("apart")}

    def interrupted(*_: object) -> None:
        raise KafkaUnavailable("the wire is cut")

    holder, there = schema.holder(apart.cassandra), keyspaces()
    monkeypatch.setattr("streams.rebuild._rewind", interrupted)
    with pytest.raises(KafkaUnavailable, match="the wire is cut"):
        asyncio.run(rebuild(apart, QUIET))
    assert schema.holder(apart.cassandra) == holder and keyspaces() == there

    kept = there - {"apart", holder.keyspace}
    assert kept and set(schema.drop_unused(apart.cassandra)) == kept
    assert keyspaces() == {"apart", holder.keyspace}
