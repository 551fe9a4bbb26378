"""Calls that fail are tried again and counted; one who cannot wait does not ask a server that fails."""

import asyncio
from collections.abc import Callable, Iterator

import circuitbreaker
import pytest
from cassandra import OperationTimedOut
from cassandra.cluster import Session
from prometheus_client import REGISTRY

from streams.adapters.cassandra import TRANSIENT, CassandraStore
from streams.adapters.patience import BREAKS_AFTER, BROKEN_SECONDS, breaker, retrying, unbroken
from streams.adapters.triton import HastyEmbedder
from streams.errors import EmbedderUnavailable, StoreUnavailable
from streams.events import ITEMS
from tests.fakes import FakeEmbedder


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    told = Clock()
    monkeypatch.setattr(circuitbreaker, "monotonic", told)
    yield told


def shown(name: str, server: str) -> float:
    return REGISTRY.get_sample_value(f"anabranch_dependency_{name}", {"dependency": server}) or 0.0


async def test_what_fails_for_a_while_is_tried_until_it_succeeds_and_every_retry_is_counted() -> None:
    answers = iter([TimeoutError(), TimeoutError(), TimeoutError(), "there"])
    before = shown("retries_total", "a server")

    async def ask() -> str:
        answer = next(answers)
        if isinstance(answer, TimeoutError):
            raise answer
        return str(answer)

    async for attempt in retrying("a server", TimeoutError, first_pause=0.001, longest_pause=0.002):
        with attempt:
            assert await ask() == "there"
    assert shown("retries_total", "a server") == before + 3


async def test_what_no_patience_mends_is_raised_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        async for attempt in retrying("a server", TimeoutError, first_pause=0.001, longest_pause=0.002):
            with attempt:
                raise ZeroDivisionError


def fail(of: circuitbreaker.CircuitBreaker) -> None:
    with pytest.raises(TimeoutError), unbroken(of, EmbedderUnavailable):
        raise TimeoutError("no answer")


def test_a_breaker_opens_after_some_failures_in_a_row_and_the_first_call_after_a_while_closes_it(clock: Clock) -> None:
    of, unasked = breaker("a server", TimeoutError), shown("unasked_total", "a server")
    for _ in range(BREAKS_AFTER - 1):
        fail(of)
    with unbroken(of, EmbedderUnavailable):
        pass
    for _ in range(BREAKS_AFTER):
        assert of.state == "closed" and not shown("breaker_open", "a server")
        fail(of)
    assert of.state == "open" and shown("breaker_open", "a server")
    told = pytest.raises(EmbedderUnavailable, match=r"a server is not asked for \d s more: 5 calls in a row failed")
    with told, unbroken(of, EmbedderUnavailable):
        raise AssertionError("it is asked")
    assert shown("unasked_total", "a server") == unasked + 1
    clock.now += BROKEN_SECONDS[1]
    assert of.state == "half_open"
    with unbroken(of, EmbedderUnavailable):
        pass
    assert of.state == "closed" and not shown("breaker_open", "a server")


def test_a_server_that_still_fails_after_a_while_is_left_alone_again(clock: Clock) -> None:
    of = breaker("a server", TimeoutError)
    for _ in range(BREAKS_AFTER):
        fail(of)
    clock.now += BROKEN_SECONDS[1]
    fail(of)
    assert of.state == "open"


def test_processes_do_not_all_come_back_in_one_moment(clock: Clock) -> None:
    assert len({breaker("a server", TimeoutError)._recovery_timeout for _ in range(10)}) > 1


async def test_a_search_does_not_wait_for_a_triton_that_fails_or_hangs(clock: Clock) -> None:
    fake = FakeEmbedder()
    hasty = HastyEmbedder(fake)
    fake.down = True
    for _ in range(BREAKS_AFTER):
        with pytest.raises(EmbedderUnavailable, match="the fake embedder is down"):
            await hasty.embed("text", [b"hello"])
    fake.down = False
    with pytest.raises(EmbedderUnavailable, match="triton is not asked"):
        await hasty.embed("text", [b"hello"])
    clock.now += BROKEN_SECONDS[1]
    assert (await hasty.embed("text", [b"hello"])).vectors[0] is not None

    class Hanging(FakeEmbedder):
        async def embed(self, *_: object) -> None:  # type: ignore[override]
            await asyncio.Event().wait()

    hasty = HastyEmbedder(Hanging())
    for _ in range(BREAKS_AFTER):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await hasty.embed("text", [b"hello"])
    with pytest.raises(EmbedderUnavailable, match="triton is not asked"):
        await hasty.embed("text", [b"hello"])


class CutOff:
    """A session whose requests time out, so many of them; later ones find nothing."""

    def __init__(self, back_after: float = float("inf")) -> None:
        self.asked = 0
        self._back_after = back_after

    def prepare(self, statement: str) -> "CutOff":
        return self

    def execute_async(self, *_: object, timeout: float) -> "CutOff":
        self.asked += 1
        return self

    def add_callbacks(self, callback: Callable[[object], None], errback: Callable[[Exception], None]) -> None:
        if self.asked > self._back_after:
            callback([])
        else:
            errback(OperationTimedOut())


def store(session: CutOff, **options: object) -> CassandraStore:
    held: Session = session
    return CassandraStore(
        held,
        home="anabranch",
        items_topic=ITEMS,
        shards=1,
        dedup_window=1,
        users_days=0,
        request_timeout=1.0,
        **options,  # type: ignore[arg-type]
    )


async def test_reads_of_who_cannot_wait_fail_at_once_while_cassandra_is_away(clock: Clock) -> None:
    session = CutOff()
    reading = store(session, give_up_after=0.0, breaker=breaker("cassandra", *TRANSIENT))
    for _ in range(BREAKS_AFTER):
        with pytest.raises(StoreUnavailable, match="gave no answer"):
            await reading.read_users(["ada"])
    assert session.asked == BREAKS_AFTER
    with pytest.raises(StoreUnavailable, match="cassandra is not asked"):
        await reading.read_users(["ada"])
    assert session.asked == BREAKS_AFTER


async def test_a_worker_asks_cassandra_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pass_at_once(_: float) -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", pass_at_once)
    session = CutOff(back_after=2 * BREAKS_AFTER)
    before = shown("retries_total", "cassandra")
    assert await store(session, give_up_after=120.0).read_upload_times(["alien"]) == {}
    assert session.asked == 2 * BREAKS_AFTER + 1
    assert shown("retries_total", "cassandra") == before + 2 * BREAKS_AFTER
