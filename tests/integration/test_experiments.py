"""Outcomes through real Kafka, read by who reports once and by who watches."""

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest

from streams.adapters.kafka import KafkaSink
from streams.adapters.tail import Tail, values
from streams.core.experiments.plan import read
from streams.events import Outcome, encode
from streams.experiments import published, report
from streams.ports import Outgoing
from streams.settings import Settings
from streams.web.experiments import Watcher
from tests.test_experiments import PLAN, outcomes

pytestmark = pytest.mark.servers


def messages(told: Sequence[Outcome]) -> list[Outgoing]:
    return [Outgoing("experiments", each.user.encode(), encode(each)) for each in told]


async def test_what_workers_told_is_reported_whether_it_was_there_before_or_comes_while_one_watches(
    servers: Settings,
) -> None:
    sink, watcher = KafkaSink(servers.kafka), Watcher(read(PLAN), clock=count(0.0, 10.0).__next__)
    told = outcomes(400, blue=2, red=4)
    taken = asyncio.Event()

    def take(value: bytes) -> None:
        watcher.take(value)
        if watcher.report().outcomes == len(told):
            taken.set()

    await sink.start()
    await sink.publish(messages(told[:1_000]))
    refused: list[str] = []
    tail = Tail(
        servers.kafka,
        "experiments",
        values(take),
        lambda *why: refused.append(f"{why[0]}: {why[2].reason}"),
        from_start=True,
    )
    await tail.start()
    running = asyncio.create_task(tail.run())
    await sink.publish([Outgoing("experiments", b"", b'{"user": 1}'), *messages(told[1_000:])])
    await asyncio.wait_for(taken.wait(), 60)
    running.cancel()
    await tail.close()
    await sink.close()
    assert refused == ["experiments: wrong_type"]
    watched = watcher.report().experiments
    assert [arm.verdict for arm in watched[0].arms] == ["control", "better"]
    assert report(read(PLAN), published(servers.kafka)) == watched
