"""The benchmark counts what it says it counts."""

import asyncio
import time
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from rich.console import Console

from deploy.local import servers as local_servers
from encoders.throughput import Speed
from streams.adapters.cassandra import MAX_ROWS, CassandraStore, encode_user
from streams.adapters.index import VectorIndex
from streams.bench import latency, steadiness
from streams.bench import servers as bench_servers
from streams.bench.ceilings import EMBEDDED, KEYSPACE, Ceiling, Recorded, Sizes, measure, nearest, people, recall
from streams.bench.echo import answer, beforehand
from streams.bench.latency import Latency, Load
from streams.bench.plots import draw
from streams.bench.report import (
    Result,
    Round,
    figures,
    is_busy,
    keeps_up,
    latency_line,
    page,
    scaling_line,
)
from streams.bench.run import ECHO
from streams.bench.steadiness import Steadiness
from streams.bench.variants import OTHERS, VARIANTS, Measured, Meter, Unranked, interleaved
from streams.core.history import History
from streams.core.recommender import Interaction, UserView
from streams.core.vectors import unit
from streams.events import Click, Recommendations, encode
from streams.ports import Incoming
from streams.reports import Environment
from streams.settings import Settings

HERE = Environment(2, "a processor", 8.0, 0.1, "Linux", "3.11", {"faust-streaming": "0.15"})


def measured(seconds: float, cpu_seconds: float) -> Measured:
    return Measured(events=1_000, seconds=seconds, cpu_seconds=cpu_seconds, rss_bytes=1024**2, lists=100)


def result() -> Result:
    return Result(
        HERE,
        1_000,
        [
            Round("empty agent", 1, measured(0.1, 0.1)),
            Round("full", 1, measured(0.2, 0.4)),
            Round("empty agent", 2, measured(0.2, 0.1)),
            Round("full", 2, measured(0.8, 0.4)),
        ],
    )


def test_the_clock_runs_from_the_first_tenth_to_the_last_event() -> None:
    meter = Meter(100)
    meter.add(10)
    time.sleep(0.05)
    meter.add(89)
    assert not meter.done.is_set()
    meter.add(1)
    meter.add(1)  # delivered twice, after the end
    assert meter.done.is_set()
    assert meter.measured().events == 90 and meter.measured().seconds >= 0.05


async def test_a_batch_counts_once_it_is_done() -> None:
    meter, seen = Meter(100), []

    async def handle(batch: list[Incoming]) -> None:
        seen.append(meter.handled)

    await meter.around(handle)([Incoming("t", 0, 0, b"", b"", 0.0)] * 7)
    assert seen == [0] and meter.handled == 7


def test_partitions_are_read_in_turn() -> None:
    assert interleaved([[1, 2], [], [10, None, 30]]) == [1, 10, 2, None, 30]


def test_the_unranked_recommender_knows_items_and_learns_nothing() -> None:
    recommender = Unranked()
    recommender.put_item("a", None, 0.0)
    view = UserView("ada", History())
    recommender.learn(Interaction("e1", "ada", "a", 1.0, 1.0))
    assert recommender.recommend(view, 2.0) == [] and recommender.catalogue.slot("a") == 0


def test_a_ratio_compares_variants_of_the_same_round() -> None:
    full = next(each for each in figures(result().rounds) if each.variant == "full")
    assert (full.ratio.low, full.ratio.high) == (pytest.approx(0.25), pytest.approx(0.5))
    assert full.cpu_ratio.median == pytest.approx(0.25)
    assert full.cpu_us == pytest.approx(400) and full.lists_per_event == pytest.approx(0.1)


def test_variants_are_listed_in_one_order_whatever_the_order_measured() -> None:
    rounds = [Round(variant, 1, measured(1, 1)) for variant in reversed(VARIANTS)]
    assert [each.variant for each in figures(rounds)] == list(VARIANTS)


def test_a_busy_machine_is_named() -> None:
    busy = msgspec.structs.replace(HERE, load_average=1.5)
    assert is_busy(busy) and not is_busy(HERE)
    assert "busy" in page(msgspec.structs.replace(result(), environment=busy))
    assert "busy" not in page(result())


class SlowProducer:
    """Takes no event before its time, and stalls on the third."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(self, topic: str, value: bytes, key: bytes) -> None:
        self.sent.append(value)
        if len(self.sent) == 3:
            await asyncio.sleep(0.2)

    async def flush(self) -> None:
        pass


class Lists:
    """A consumer that reads one list for each event, and ends."""

    def __init__(self, event_ids: list[str]) -> None:
        self._left = iter(event_ids)

    def __aiter__(self) -> "Lists":
        return self

    async def __anext__(self) -> SimpleNamespace:
        for event_id in self._left:
            each = Recommendations(
                user_id="u", list_version=1, items=[], event_ids=[event_id], event_ts=0, published_at=0, emitted_at=0
            )
            return SimpleNamespace(value=encode(each))
        raise StopAsyncIteration


async def test_a_stall_shows_in_every_event_it_held_up_for_latency_counts_from_the_schedule() -> None:
    load = Load(SlowProducer())
    events = [Click(event_id=f"e{n}", ts=1.0, user_id="u", item_id="i") for n in range(10)]
    await load.send(events, time.monotonic(), events_per_second=1_000)
    await load.read(Lists([each.event_id for each in events]))
    assert await load.answered(1.0)
    assert min(seconds for _, seconds in load.latencies) > 0.18
    assert load.summary(1_000, 0.0).unanswered == 0


async def test_an_event_without_a_list_is_counted() -> None:
    load = Load(SlowProducer())
    events = [Click(event_id=f"e{n}", ts=1.0, user_id="u", item_id="i") for n in range(3)]
    await load.send(events, time.monotonic(), events_per_second=1_000)
    await load.read(Lists(["e0", "e2", "another's"]))
    assert not await load.answered(0.01)
    said = load.summary(1_000, 0.0)
    assert (said.events, said.unanswered) == (2, 1) and not keeps_up(said)


def at(rate: float, p99: float) -> Latency:
    return Latency(rate, 2.0, 1_000, 0, p50=p99 / 4, p90=p99 / 2, p99=p99, max=2 * p99)


def test_latency_is_told_at_half_of_what_the_worker_keeps_up_with() -> None:
    shown = msgspec.structs.replace(result(), latencies=[at(100, 0.02), at(200, 0.04), at(400, 0.2), at(800, 5.0)])
    told = latency_line(shown)
    assert "keeps up with 400 live" in told and "within 10 ms" in told and "within 40 ms" in told
    assert "did not keep up with 100" in latency_line(msgspec.structs.replace(result(), latencies=[at(100, 5.0)]))


def test_beside_each_latency_is_that_of_an_agent_that_only_answers() -> None:
    shown = msgspec.structs.replace(
        result(),
        latencies=[at(100, 0.02), at(200, 0.2), at(400, 5.0)],
        echoes=[at(100, 0.01), at(200, 0.012)],
        steadiness=Steadiness(0.01, 0.05, 0.09),
    )
    told = page(shown)
    assert "| 100 | 5 ms | 10 ms | 20 ms | 40 ms | 2 ms / 10 ms | 1,000 | 0 |  |" in told
    assert "| 400 | 1,250 ms | 2,500 ms | 5,000 ms | 10,000 ms |  | 1,000 | 0 |  |" in told
    assert "takes 2 ms and 10 ms at that rate: the worker 2.0 and 2.0 times as long" in told
    assert "arithmetic of 10 ms took this machine 50 ms one time in a hundred, and 90 ms at worst" in told


def test_a_machine_is_looked_at_by_pieces_of_work_that_are_as_long_as_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steadiness, "_work", lambda steps: steps * 3e-7)
    found = steadiness.measure(seconds=0.01, piece=0.002)
    assert (found.p50, found.p99, found.max) == pytest.approx((0.002, 0.002, 0.002), rel=1e-3)


def test_a_piece_of_work_takes_time() -> None:
    found = steadiness.measure(seconds=0.05, piece=0.002)
    assert 0 < found.p50 <= found.p99 <= found.max


def test_the_list_of_an_echo_is_as_long_as_one_of_a_worker() -> None:
    event = Click(event_id="e1", ts=1.0, user_id="ada", item_id="i")
    key, value = answer(encode(event), beforehand(20))
    made = msgspec.json.decode(value, type=Recommendations)
    assert (key, made.user_id, made.event_ids, len(made.items)) == (b"ada", "ada", ["e1"], 20)


@pytest.mark.servers
async def test_an_echo_answers_each_event_and_ends_when_told(servers: Settings) -> None:
    group = bench_servers.continue_at_the_end(servers, "test_echo", "test_echo")
    events = [Click(event_id=f"echo-{n}", ts=1.0, user_id=f"u{n % 7}", item_id="i") for n in range(50)]

    def measured() -> Latency:
        with bench_servers.worker(servers, group, ECHO):
            return asyncio.run(latency.measure(servers.kafka, events, events_per_second=500.0, warm_up=0.0))

    found = await asyncio.to_thread(measured)
    assert (found.events, found.unanswered) == (49, 0)
    assert local_servers.worker_process(servers).find() is None


def test_two_workers_gain_less_the_more_of_an_event_each_has_to_learn_from_the_other() -> None:
    shown = result()
    assert scaling_line(shown) == ""
    shown.rounds += [
        Round(OTHERS, 1, measured(0.1, 0.1)),
        Round(OTHERS, 2, measured(0.1, 0.1)),
    ]  # full takes 4 times that
    shown.latencies = [Latency(100, 2.0, 1_000, 0, 0.01, 0.01, 0.01, 0.01, cpu=900e-6)]
    assert "100 µs" in scaling_line(shown) and "get 1.60 times" in scaling_line(shown)
    assert "at 100/s 1.80" in scaling_line(shown)
    assert scaling_line(shown) in page(shown) and "| 0 | 900 |" in page(shown)


FEW = Sizes(users=MAX_ROWS + 2, history=5, items=300, searches=3, contents=2, rounds=2, seconds=0.01)


def test_ours_is_compared_with_the_bare_library_of_the_same_round() -> None:
    rounds = [(Speed(100, 50), Speed(50, 40)), (Speed(10, 50), Speed(8, 30))]
    told = page(msgspec.structs.replace(result(), ceilings=[Ceiling("users written", "the driver", rounds)]))
    assert "| users written | 29 (8-50) | 55 (10-100) | 0.65 (0.50-0.80) | 0.70 (0.60-0.80) | the driver |" in told


def test_a_picture_shows_each_variant_each_part_and_each_rate_that_was_kept_up_with() -> None:
    shown = result()
    shown.latencies = [Latency(rate, 2.0, 100, 0, 0.01, 0.02, p99, p99) for rate, p99 in ((100.0, 0.05), (200.0, 3.0))]
    shown.ceilings = [Ceiling("users read", "the driver", [(Speed(100.0, 100.0), Speed(90.0, 0.0))])]
    variants, parts, latencies = draw(shown).axes
    assert [each.get_text() for each in variants.get_yticklabels()] == [each.variant for each in figures(shown.rounds)]
    assert [each.get_text() for each in parts.get_yticklabels()] == ["users read"]
    assert [bar.get_width() for bar in parts.patches] == [0.9], "no bar of what nobody saw"
    assert [each.get_text() for each in latencies.get_xticklabels()] == ["100"]


def test_no_ratio_is_made_up_where_nobody_saw_the_processor() -> None:
    rounds = [(Speed(100, 50), Speed(50, 0.0))]
    told = page(msgspec.structs.replace(result(), ceilings=[Ceiling("texts", "the encoder", rounds, recall=0.9876)]))
    assert "| texts (recall 0.988) | 50 | 100 | 0.50 |  | the encoder |" in told


def test_recall_is_the_share_of_the_exact_nearest_that_is_found() -> None:
    vectors = np.stack([unit(np.array([1, tilt], np.float32)) for tilt in (0.0, 0.1, 0.2, 5.0)])
    index = VectorIndex(2)
    for slot in (0, 1, 3):  # the third nearest is missing
        index.put(slot, vectors[slot])
    assert recall(index, vectors, vectors[:1], 2) == 1.0
    assert recall(index, vectors, vectors[:1], 3) == pytest.approx(2 / 3)


def test_nearest_items_are_searched_in_the_graph_of_the_bare_index() -> None:
    found = nearest(FEW)
    # the graph is approximate, and built by as many threads as there are: not each time the same
    assert found.recall is not None and 0.9 < found.recall <= 1.0
    assert len(found.rounds) == FEW.rounds
    assert all(speed.per_second > 0 for pair in found.rounds for speed in pair)


def test_made_up_users_are_as_large_as_real_ones() -> None:
    [user] = people(Sizes(users=1))
    size = sum(len(each) for each in encode_user(user) if isinstance(each, bytes))
    size += sum(map(len, encode_user(user)[1].values()))
    assert 5_000 < size < 9_000 and len(user.history) == len(user.recent_events) == 100


def test_a_recorded_session_keeps_what_it_is_asked_and_asks() -> None:
    asked = []
    session = SimpleNamespace(keyspace="k", execute_async=lambda *of, **how: asked.append((of, how)) or "answer")
    recorded = Recorded(session)
    assert recorded.execute_async("a statement", (1,), timeout=2.0) == "answer" and recorded.keyspace == "k"
    assert recorded.requests == [("a statement", (1,))] and asked == [(("a statement", (1,)), {"timeout": 2.0})]


@pytest.mark.servers
async def test_every_part_is_measured_on_the_servers(servers: Settings) -> None:
    found = await asyncio.to_thread(measure, servers, Console(quiet=True), FEW)
    assert [each.what for each in found][:2] == ["users written", "users read"] and len(found) == 3 + len(EMBEDDED)
    assert all(speed.per_second > 0 for each in found for pair in each.rounds for speed in pair)
    store = await CassandraStore.connect(servers.cassandra, dedup_window=16, keyspace=KEYSPACE)
    assert await store.user_ids() == {user.user_id for user in people(FEW)}
    await store.close()
