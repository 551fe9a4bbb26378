"""Faust's consumer, on real Kafka."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from streams.adapters.batches import BatchTransport
from streams.app import faust_app
from streams.producer import EventProducer
from streams.settings import Settings

pytestmark = pytest.mark.servers


async def test_what_was_fetched_and_dropped_before_anything_was_committed_is_fetched_again(servers: Settings) -> None:
    kafka = servers.kafka.model_copy(update={"group": f"group-{uuid4()}"})
    app = faust_app(servers.model_copy(update={"kafka": kafka}))
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    seen: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()

    async def note(stream: Any) -> None:
        with suppress(StopAsyncIteration):  # how Faust closes a queue
            while True:
                message = await stream.channel.queue.get()
                await seen.put((message.key, message.offset))

    topic = app.topic("events.view", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    app.agent(topic, name="note")(note)
    await asyncio.to_thread(_send, servers, [f"key-{n}" for n in range(20)])
    await app.start()
    try:
        async with asyncio.timeout(60):
            first = {await seen.get() for _ in range(20)}
            await app.consumer.perform_seek()
            assert {await seen.get() for _ in range(20)} == first
    finally:
        await app.stop()


def _send(servers: Settings, keys: list[str]) -> None:
    with EventProducer(servers.kafka) as producer:
        for key in keys:
            producer.send_raw("events.view", key.encode(), msgspec.json.encode(key))
