"""Whatever comes in a topic: nothing crashes, each message is counted once, and what is accepted counts once.

`make fuzz` sends a million; the bar is shown then.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec
import numpy as np
import pytest
import structlog
from prometheus_client import REGISTRY
from rich.console import Console
from threadpoolctl import threadpool_limits

from encoders.contract import DIM
from encoders.errors import Refused
from encoders.profile import ProfileEncoder
from streams.adapters.cassandra import encode_user
from streams.adapters.index import VectorIndex
from streams.core.history import History
from streams.core.recommender import UserView
from streams.core.user import UserState
from streams.core.verification import Log, compare
from streams.errors import Rejected
from streams.events import REASONS, Event, Forget, Profile, Query, Upload, decode
from streams.ports import Embeddings, Logged, Outgoing
from streams.progress import bars
from streams.queries import Queries
from streams.rebuild import Users
from streams.replica import INTERACTIONS, ITEMS, Replica
from streams.search import Search
from streams.verify import replayed
from tests.fakes import FakeEmbedder, FakeStore
from tests.fuzzing import ITEM_IDS, NOW, QUIET, SHARES, USERS, Fuzzer, batches, show
from tests.pipeline.test_pipeline import FILMS, Loop, World
from tests.pipeline.test_queries import known, search

ACCEPTED = {
    "anabranch_events_total",
    "anabranch_events_duplicate_total",
    "anabranch_events_of_forgotten_total",
}


class Encoding(FakeStore):
    """Encodes users as Cassandra wants them, and keeps no copy: there are a million writes."""

    async def write_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        for user in users:
            encode_user(user)
        self._check_epochs(epochs)


class Forgetful(Loop):
    """Keeps nothing of what was published but dead letters; those who search hear of items, too."""

    def __init__(self, searching: Search) -> None:
        super().__init__()
        self._searching = searching

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.messages += [message for message in messages if message.topic == "events.rejected"]
        await self.bring_back(messages)
        items = [message.value for message in messages if message.topic == ITEMS]
        await self._searching.follow(ITEMS, [Logged(0, value) for value in items])


class Reading(FakeEmbedder):
    """Reads profiles as the real encoder does."""

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        made = await super().embed(modality, contents)
        if modality != "profile":
            return made
        errors = [_refusal(content) for content in contents]
        vectors = [None if error else vector for vector, error in zip(made.vectors, errors, strict=True)]
        return Embeddings(vectors, errors, made.languages, made.words, made.space)


def _refusal(traits: bytes) -> str:
    try:
        ProfileEncoder().read(traits)
    except Refused as refusal:
        return str(refusal)
    return ""


def counted() -> Counter[str]:
    """What the metrics say has become of messages."""
    found: Counter[str] = Counter()
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name in ACCEPTED:
                found["accepted"] += int(sample.value)
            if sample.name == "anabranch_events_rejected_total":
                found["rejected"] += int(sample.value)
            if sample.name == "anabranch_parts_refused_total" and sample.labels["modality"] == "profile":
                found["accepted"] += int(sample.value)
            if sample.name == "anabranch_log_messages_left_out_total":
                found[f"{sample.labels['topic']} left out: {sample.labels['reason']}"] += int(sample.value)
    return found


async def test_whatever_comes_each_message_is_accepted_or_rejected_and_counts_once(
    fuzzed: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, seed = fuzzed
    count = int(wanted * SHARES["events"])
    threadpool_limits(1)  # as a worker does
    world = World(Encoding())
    world.pipeline.embedder = Reading()
    # A few odd event ids come again and again, over any window.
    world.pipeline.policy = msgspec.structs.replace(world.pipeline.policy, dedup_window=count)
    searching = search()
    world.pipeline.sink = world.sink = Forgetful(searching)
    world.sink.replica = world.replica
    await world.open_cinema()
    handlers = {
        "events.click": world.pipeline.interactions,
        "events.view": world.pipeline.interactions,
        "events.upload": world.pipeline.uploads,
        "events.profile": world.pipeline.profiles,
        "events.forget": world.pipeline.forgets,
        "events.query": Queries(searching, world.sink, known(), clock=lambda: NOW).answer,
    }
    before, accepted, outcomes = counted(), [], Counter[str]()
    with capsys.disabled(), bars(Console(quiet=wanted <= QUIET)) as progress:
        task = progress.add_task(f"messages of seed {seed}", total=count)
        for batch in batches(seed, count):
            await handlers[batch[0].topic](batch)
            for message in batch:
                try:
                    accepted.append(decode(message.topic, message.value, key=message.key, now=NOW))
                    outcomes[f"{message.topic} accepted"] += 1
                except Rejected as refusal:
                    outcomes[refusal.reason] += 1
            progress.advance(task, len(batch))
        if wanted > QUIET:
            show("messages in topics of events", outcomes)
    told = counted() - before
    reasons = Counter({reason: outcomes[reason] for reason in outcomes.keys() & REASONS.keys()})
    assert told == {"accepted": len(accepted), "rejected": reasons.total()}, f"seed {seed}"
    assert told.total() == count == outcomes.total()
    assert len(accepted) > count / 3 and len(outcomes - reasons) == len(handlers), f"seed {seed}"
    assert Counter(dict(letter.headers)["reason"].decode() for letter in world.sink.on("events.rejected")) == reasons
    assert differences(world, accepted) == [], f"seed {seed}"


def differences(world: World, accepted: Sequence[Event]) -> list[str]:
    """Where the worker's users are not what the events make of them; of the forgotten, what they did is compared."""
    uploads = Counter(event.item_id for event in accepted if isinstance(event, Upload))
    changed = FILMS.keys() | {item_id for item_id, count in uploads.items() if count > 1}
    policy, vectors = world.pipeline.policy, world.replica.item_vectors.get
    log = Log(vectors, changed, True, policy.taste_half_life, policy.dedup_window)
    users = world.pipeline._owned.users
    fickle = {
        each.key
        for each in accepted
        if isinstance(each, Forget) or (isinstance(each, Profile) and each.is_about_consent)
    }
    assert fickle, "nobody asked to be forgotten"
    found = [
        f"{user_id}: {difference}"
        for user_id, events in replayed(accepted, policy).items()
        if user_id not in fickle and (difference := compare(user_id, events, users.get(user_id), log))
    ]
    sequel = Users(policy)
    for event in accepted:
        if event.key in fickle and not isinstance(event, Query | Upload):
            sequel.take(event)
    for user in sequel.settled(vectors):
        kept = users.get(user.user_id)
        if (list(kept.history.item_ids) if kept else []) != list(user.history.item_ids):
            found.append(f"{user.user_id}: what they did since they were forgotten")
    return found


@pytest.mark.parametrize("topic", [ITEMS, INTERACTIONS])
async def test_whatever_comes_in_a_log_all_workers_read_or_leave_out_alike_and_go_on(
    fuzzed: tuple[int, int], topic: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.replica.log", structlog.wrap_logger(structlog.ReturnLogger()))
    wanted, seed = fuzzed
    count = int(wanted * SHARES["logs"] / 2)
    threadpool_limits(1)
    one, other = (Replica(VectorIndex(DIM), worker=name, items_topic=ITEMS) for name in ("w1", "w3"))
    searching = search()
    fuzzer = Fuzzer(seed, features=one.recommender._ranker.weights.shape[1])
    before = counted()
    start = 0
    with capsys.disabled(), bars(Console(quiet=wanted <= QUIET)) as progress:
        task = progress.add_task(f"messages of {topic}", total=count)
        while start < count:
            messages = [Logged(start + n, fuzzer.draw(topic)[1]) for n in range(min(200, count - start))]
            start += len(messages)
            await one.follow(topic, messages)
            await other.follow(topic, messages)
            if topic == ITEMS:
                await searching.follow(topic, messages)
            progress.advance(task, len(messages))
        told = counted() - before
        followers = 3 if topic == ITEMS else 2
        outcomes = Counter({outcome: number // followers for outcome, number in told.items()})
        outcomes[f"{topic} followed"] = count - outcomes.total()
        if wanted > QUIET:
            show("messages in the workers' own logs", outcomes)
    assert one.offsets[topic] == count and one.snapshot() == other.snapshot(), f"seed {seed}"
    assert all(number % followers == 0 for number in told.values()), f"seed {seed}"
    assert outcomes[f"{topic} followed"] > count / 3, f"seed {seed}"
    for user in USERS:
        user_view = UserView(user, History.of((item, NOW, 1.0) for item in ITEM_IDS[:3]))
        scores = [each.score for each in one.recommender.recommend(user_view, NOW)]
        assert np.isfinite(scores).all(), f"seed {seed}"
