"""Workers that follow the same logs know the same."""

import asyncio
import random
from collections.abc import Sequence

import numpy as np
import pytest

from streams import metrics
from streams import replica as replica_module
from streams.adapters.index import VectorIndex
from streams.core.history import History
from streams.core.memory.snapshot import UnknownSnapshot
from streams.core.recommender import RecommenderSettings, Scored, UserView
from streams.core.vectors import to_bytes, unit
from streams.events import Embedded, Learned, LearnedTouch, encode, read_learned
from streams.ports import Logged
from streams.replica import INTERACTIONS, ITEMS, Replica

DIM = 8
NOON = 1.7e9
SMALL = RecommenderSettings(capacity=64, sessions=32, session_length=16, proposals=16)


def a_replica(worker: str = "w1") -> Replica:
    index = VectorIndex(DIM)
    return Replica(index, worker=worker, items_topic=ITEMS, dim=DIM, settings=SMALL)


def items(count: int = 40) -> list[Logged]:
    generator = np.random.default_rng(0)
    vectors = [unit(generator.standard_normal(DIM).astype(np.float32)) for _ in range(count)]
    return [
        Logged(n, encode(Embedded(item_id=f"item {n}", at=NOON, vectors={"fused": to_bytes(vector)})))
        for n, vector in enumerate(vectors)
    ]


def interactions(count: int = 300, workers: Sequence[str] = ("w1", "w2")) -> list[Logged]:
    """What some workers published, each for the users that it owns; a few messages twice, as after a death."""
    rng = random.Random(0)
    log: list[bytes] = []
    for n in range(count):
        user = rng.randrange(12)
        touches = [
            LearnedTouch(event_id=f"e{n}-{step}", item_id=f"item {(user + 3 * step) % 40}", at=NOON + n, weight=1.0)
            for step in range(rng.randrange(1, 4))
        ]
        profile = to_bytes(np.eye(DIM, dtype=np.float32)[user % 3]) if n < 100 else b""
        worker = workers[user % len(workers)]
        log.append(encode(Learned(user_id=f"user {user}", touches=touches, worker=worker, profile=profile)))
        if n % 50 == 49:
            log.append(log[-10])
    return [Logged(offset, value) for offset, value in enumerate(log)]


async def follow(replica: Replica, topic: str, log: Sequence[Logged], at_once: int = 1_000) -> None:
    for start in range(0, len(log), at_once):
        await replica.follow(topic, log[start : start + at_once])


def listed(replica: Replica, user_id: str) -> list[Scored]:
    view = UserView(user_id, History.of([("item 1", NOON, 1.0)]), np.eye(DIM, dtype=np.float32)[0])
    return replica.recommender.recommend(view, NOON + 3600, 20)


@pytest.mark.parametrize("at_once", [1, 7, 1_000])
async def test_workers_at_the_same_place_of_the_logs_know_the_same_and_give_the_same_lists(at_once: int) -> None:
    one, other = a_replica("w1"), a_replica("w2")
    for replica, size in ((one, 1_000), (other, at_once)):
        await follow(replica, ITEMS, items(), size)
        await follow(replica, INTERACTIONS, interactions(), size)
    assert one.offsets == other.offsets
    assert one.recommender.snapshot() == other.recommender.snapshot()
    for user in ("user 0", "user 5", "somebody new"):
        assert listed(one, user) == listed(other, user) != []


async def test_a_worker_learns_from_what_it_told_as_all_who_read_it_do() -> None:
    teller, reader = a_replica("w1"), a_replica("w2")
    log = interactions()
    for each in log:
        assert each.value is not None
        learned = read_learned(each.value, dim=DIM)
        if learned.worker == "w1":
            assert teller.telling(learned).value == each.value
    for replica in (teller, reader):
        await follow(replica, ITEMS, items())
        await follow(replica, INTERACTIONS, log)
    assert teller.recommender.snapshot() == reader.recommender.snapshot()


async def test_a_worker_that_told_what_cannot_be_learned_leaves_it_out_as_all_others_do() -> None:
    teller, reader = a_replica("w1"), a_replica("w2")
    endless = LearnedTouch(event_id="e", item_id="item 1", at=float("1e300"), weight=1.0)
    told = teller.telling(Learned(user_id="u", touches=[endless], worker="w1"))
    for replica in (teller, reader):
        await replica.follow(INTERACTIONS, [Logged(0, told.value)])
        assert replica.offsets[INTERACTIONS] == 1
    assert teller.recommender.snapshot() == reader.recommender.snapshot() == a_replica().recommender.snapshot()


async def test_a_worker_knows_when_all_that_it_published_has_come_back() -> None:
    replica = a_replica("w2")
    log = interactions(20)
    replica.publishing(2)
    waiting = asyncio.create_task(replica.learned_own())
    ours = [n for n, each in enumerate(log) if b'"worker":"w2"' in (each.value or b"")]
    await replica.follow(INTERACTIONS, log[: ours[1]])
    await asyncio.sleep(0)
    assert not waiting.done(), "one of the two is still on its way"
    await replica.follow(INTERACTIONS, log[ours[1] : ours[1] + 1])
    await waiting


async def test_learning_gives_other_tasks_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "BREATH_SECONDS", 0.0)
    replica = a_replica()
    turns = 0

    async def other_task() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(other_task())
    await replica.follow(INTERACTIONS, interactions(50))
    other.cancel()
    assert turns >= 50


async def test_a_replica_that_begins_with_a_snapshot_goes_on_as_the_one_that_left_it() -> None:
    original, copy = a_replica("w1"), a_replica("w2")
    log = interactions()
    await follow(original, ITEMS, [*items(), Logged(40, encode(Embedded(item_id="item 3", at=NOON, withdrawn=True)))])
    await follow(original, INTERACTIONS, log[:200])
    copy.restore(b"".join(original.snapshot()))
    assert copy.offsets == original.offsets == {ITEMS: 41, INTERACTIONS: 200}
    for replica in (original, copy):
        await follow(replica, INTERACTIONS, log[200:])
    assert copy.recommender.snapshot() == original.recommender.snapshot()
    assert listed(copy, "user 5") == listed(original, "user 5")
    assert copy.item_vectors.keys() == original.item_vectors.keys()
    assert copy.background.likeness("fused") == pytest.approx(original.background.likeness("fused"))
    query = np.eye(DIM, dtype=np.float32)[0]
    assert copy.index.nearest(query, 5)[0].tolist() == original.index.nearest(query, 5)[0].tolist()


def test_a_snapshot_of_other_logs_is_refused() -> None:
    index = VectorIndex(DIM)
    identities = {ITEMS: "a", INTERACTIONS: "b"}
    elsewhere = Replica(index, worker="w1", items_topic=ITEMS, dim=DIM, settings=SMALL, identities=identities)
    with pytest.raises(UnknownSnapshot, match="made anew"):
        elsewhere.restore(b"".join(a_replica().snapshot()))
    assert elsewhere.offsets == {ITEMS: 0, INTERACTIONS: 0}


async def test_a_message_taken_back_is_passed_over() -> None:
    replica = a_replica()
    await replica.follow(ITEMS, [Logged(7, None)])
    assert replica.offsets[ITEMS] == 8


def a_lesson(slope: str, pulls: str) -> dict[str, object]:
    return {"touches": 1, "slope": slope, "items": [], "pulls": pulls}


GOOD = to_bytes(unit(np.ones(DIM, np.float32)))
NO_NUMBERS = to_bytes(np.full(DIM, np.nan, np.float32))
TOUCH = {"event_id": "e", "item_id": "item 1", "at": NOON, "weight": 1.0}


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        (ITEMS, b"{not json", "not_json"),
        (ITEMS, b"\xff\xfe", "not_utf8"),
        (ITEMS, b'{"item_id": "i"}', "missing_field"),
        (ITEMS, encode(Embedded(item_id="i", at=NOON, vectors={"fused": b"12345"})), "wrong_size"),
        (ITEMS, encode(Embedded(item_id="i", at=NOON, vectors={"text": GOOD + GOOD})), "wrong_size"),
        (ITEMS, encode(Embedded(item_id="i", at=NOON, vectors={"fused": NO_NUMBERS})), "not_finite"),
        (ITEMS, encode(Embedded(item_id="i", at=1e308)), "bad_time"),
        (ITEMS, encode(Embedded(item_id="i", at=NOON, offset=2**63 - 1)), "out_of_range"),
        (INTERACTIONS, b"[]", "not_an_object"),
        (INTERACTIONS, encode(Learned(user_id="u", touches=[], worker="w", profile=NO_NUMBERS)), "not_finite"),
        (INTERACTIONS, encode({"user_id": "u", "worker": "w", "touches": [TOUCH | {"at": -1.0}]}), "bad_time"),
        (INTERACTIONS, b'{"user_id": "u", "touches": 3, "worker": "w"}', "wrong_type"),
        (INTERACTIONS, encode(Learned(user_id="u", touches=[], worker="w", profile=GOOD[:-4])), "wrong_size"),
        (
            INTERACTIONS,
            encode({"user_id": "u", "worker": "w", "touches": [TOUCH | {"lesson": a_lesson(slope="AAAA", pulls="")}]}),
            "wrong_size",
        ),
        (
            INTERACTIONS,
            encode(
                {"user_id": "u", "worker": "w", "touches": [TOUCH | {"lesson": a_lesson(slope="", pulls="AAAAAA==")}]}
            ),
            "wrong_size",
        ),
    ],
)
async def test_what_cannot_be_read_in_a_log_is_left_out_by_all_and_stops_nobody(
    topic: str, value: bytes, reason: str
) -> None:
    replica, other = a_replica(), a_replica("w2")
    before = metrics.LEFT_OUT.labels(topic, reason)._value.get()
    for each in (replica, other):
        await follow(each, ITEMS, [*items(), *([Logged(40, value)] if topic == ITEMS else [])])
        log = interactions()
        spoilt = [*log[:100], *([Logged(100, value)] if topic == INTERACTIONS else []), *log[100:]]
        await follow(each, INTERACTIONS, [Logged(offset, known.value) for offset, known in enumerate(spoilt)])
    assert metrics.LEFT_OUT.labels(topic, reason)._value.get() == before + 2
    whole = a_replica("w3")
    await follow(whole, ITEMS, items())
    await follow(whole, INTERACTIONS, interactions())
    for user in ("user 1", "user 7", "nobody"):
        assert listed(replica, user) == listed(other, user) == listed(whole, user)
