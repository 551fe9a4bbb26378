"""Partitions are handed over though the store answers nothing: what is in hand is given up, and handled when it comes
again."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from streams.agents import Agents
from streams.ports import Incoming
from tests.pipeline.test_pipeline import World

SECONDS = 0.01  # of patience


class Consumer:
    """As much of Faust's as agents use; nobody answers its commits."""

    def __init__(self) -> None:
        self.acked: asyncio.Queue[int] = asyncio.Queue()

    def ack(self, message: Any) -> None:
        self.acked.put_nowait(message.offset)

    async def commit(self) -> None:
        await asyncio.Event().wait()


class Stream:
    """A stream, its channel and its app in one."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.consumer = Consumer()
        self.consumer_generation_id = 1
        self.channel = self.app = self

    def bring(self, message: Incoming) -> None:
        fields = {name: getattr(message, name) for name in ("topic", "partition", "offset", "key", "value")}
        generation = self.consumer_generation_id
        self.queue.put_nowait(
            SimpleNamespace(**fields, timestamp=message.published_at, generation_id=generation, headers=None)
        )


class Unanswered:
    """A request to the store that gets no answer."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def __call__(self, *_: Any) -> None:
        self.asked.set()
        await asyncio.Event().wait()


def agents_of(world: World, deaths: list[str]) -> Agents:
    return Agents(world.pipeline, batch_size=10, batch_keys=10, patience=SECONDS, die=lambda: deaths.append("died"))


@pytest.mark.parametrize(
    ("topic", "request_"),
    [
        ("events.click", "read_users"),
        ("events.click", "write_users"),
        ("events.profile", "read_users"),
        ("events.profile", "write_users"),
        ("events.forget", "read_users"),
        ("events.forget", "forget_users"),
        ("events.upload", "read_upload_times"),
        ("events.upload", "write_items"),
    ],
)
async def test_a_batch_that_the_store_does_not_answer_is_given_up_and_handled_when_it_comes_again(
    topic: str, request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, deaths, stream, unanswered = World(), list[str](), Stream(), Unanswered()
    await world.open_cinema()
    message = {
        "events.click": world.click("ada", "alien"),
        "events.profile": world.profile("ada", age=36),
        "events.forget": world.forget("ada"),
        "events.upload": world.upload("heat", text="heist"),
    }[topic]
    agents = agents_of(world, deaths)
    await agents.claim([0])
    [handle] = [handle for topics, handle in agents._handlers.items() if topic in topics]
    consuming = asyncio.create_task(agents._consumer(handle)(stream))
    with monkeypatch.context() as silence:
        silence.setattr(world.store, request_, unanswered)
        stream.bring(message)
        await unanswered.asked.wait()
        await agents._revoked(stream)
    assert stream.consumer.acked.empty() and not deaths
    assert not world.pipeline._owned.epochs, "it is another's now"

    stream.consumer_generation_id += 1
    await agents.claim([0])
    stream.bring(message)
    assert await stream.consumer.acked.get() == message.offset
    assert not deaths
    consuming.cancel()


async def test_a_claim_that_the_store_does_not_answer_holds_up_no_later_rebalance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, deaths, stream, unanswered = World(), list[str](), Stream(), Unanswered()
    agents = agents_of(world, deaths)
    with monkeypatch.context() as silence:
        silence.setattr(world.store, "claim", unanswered)
        agents._assigned(stream, [SimpleNamespace(partition=0)])
        await unanswered.asked.wait()
        await agents._revoked(stream)
    await agents.claim([3])
    assert set(world.pipeline._owned.epochs) == {3} and not deaths
