"""Faust's consumer, on real Kafka."""

import asyncio
import os
from contextlib import suppress
from typing import Any
from uuid import uuid4

import faust
import msgspec
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from streams.adapters.batches import FETCH_WAIT_MS, BatchTransport
from streams.faust_app import faust_app
from streams.producer import EventProducer
from streams.settings import Settings
from tests.integration.running import until

pytestmark = pytest.mark.servers


def an_app(servers: Settings, **worker: int) -> faust.App:
    """With the consumer under test, in a group of its own."""
    kafka = servers.kafka.model_copy(update={"group": f"group-{uuid4()}"})
    settings = servers.model_copy(update={"kafka": kafka, "worker": servers.worker.model_copy(update=worker)})
    app = faust_app(settings)
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    return app


def views(app: faust.App) -> faust.types.TopicT[bytes]:
    return app.topic("events.view", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


async def test_what_was_fetched_and_dropped_before_anything_was_committed_is_fetched_again(servers: Settings) -> None:
    app = an_app(servers)
    seen: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()

    async def note(stream: Any) -> None:
        with suppress(StopAsyncIteration):  # how Faust closes a queue
            while True:
                message = await stream.channel.queue.get()
                await seen.put((message.key, message.offset))

    app.agent(views(app), name="note")(note)
    await asyncio.to_thread(_send, servers, [f"key-{n}" for n in range(20)])
    await app.start()
    try:
        async with asyncio.timeout(60):
            first = {await seen.get() for _ in range(20)}
            await app.consumer.perform_seek()
            assert {await seen.get() for _ in range(20)} == first
    finally:
        await app.stop()


async def test_kafka_is_asked_to_keep_no_fetch_for_longer_than_we_say(
    servers: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = an_app(servers)
    waits, send = list[int](), AIOKafkaClient.send

    async def watched(client: AIOKafkaClient, node: Any, request: Any, **others: Any) -> Any:
        if isinstance(request, FetchRequest):
            waits.append(request._max_wait_ms)
        return await send(client, node, request, **others)

    monkeypatch.setattr(AIOKafkaClient, "send", watched)

    async def ignore(stream: Any) -> None:
        async for _ in stream:
            pass

    app.agent(views(app), name="ignore")(ignore)
    await app.start()
    try:
        await asyncio.to_thread(until, lambda: len(waits) > 1)
    finally:
        await app.stop()
    assert set(waits) == {FETCH_WAIT_MS}


async def test_partitions_rest_while_their_events_wait_here_and_where_they_end_is_known_all_the_same(
    servers: Settings,
) -> None:
    app = an_app(servers, batch_size=5)
    app.conf.consumer_max_fetch_size = 4 * 1024
    opened, seen, queues = asyncio.Event(), set[bytes](), list[Any]()

    async def wait_and_note(stream: Any) -> None:
        queues.append(stream.channel.queue)
        await opened.wait()
        with suppress(StopAsyncIteration):
            while True:
                seen.add((await stream.channel.queue.get()).key)

    app.agent(views(app), name="wait_and_note")(wait_and_note)
    run = uuid4()
    keys = [f"{run}-{n}" for n in range(800)]
    await asyncio.to_thread(_send, servers, keys, os.urandom(500).hex())
    await app.start()
    try:
        consumer: Any = app.consumer
        await asyncio.to_thread(
            until, lambda: consumer.assignment() and consumer._buffered_partitions == consumer.assignment()
        )
        assert sum(queue.qsize() for queue in queues) < len(keys) / 2, "the rest waits in Kafka"
        before = await consumer.ends()
        await asyncio.to_thread(_send, servers, [f"{run}-more-{n}" for n in range(20)])
        assert sum((await consumer.ends()).values()) == sum(before.values()) + 20
        opened.set()
        await asyncio.to_thread(until, lambda: {key.encode() for key in keys} <= seen)
    finally:
        await app.stop()


def _send(servers: Settings, keys: list[str], value: str = "x") -> None:
    with EventProducer(servers.kafka) as producer:
        for number, key in enumerate(keys):
            producer.send_raw("events.view", key.encode(), msgspec.json.encode(value))
            if number % 40 == 0:
                producer.flush()  # a fetch brings whole batches of the producer
