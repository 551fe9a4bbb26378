"""The floor under event to list: a Faust agent that answers each event at once, with a list made beforehand.

What is left is Kafka, there and back, Faust, and whoever sends and reads: a worker on this machine cannot be quicker.

python -m streams.bench.echo    until it is told to end; settings come from the environment, as in a worker
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import msgspec
import uvloop
from aiokafka import AIOKafkaProducer
from faust import App, StreamT

from streams.adapters import clients
from streams.agents import CLICKS_AND_VIEWS
from streams.events import Recommendations, Recommended, encode
from streams.faust_app import faust_app, leave
from streams.logs import set_up_logs
from streams.pipeline.lists import LISTS
from streams.settings import Settings, load


class Named(msgspec.Struct):
    """What of an event its answer names."""

    event_id: str
    user_id: str


_read = msgspec.json.Decoder(Named).decode


def answer(value: bytes, items: list[Recommended]) -> tuple[bytes, bytes]:
    """The key and the list for an event.

    >>> key, value = answer(b'{"event_id": "e1", "user_id": "ada", "item_id": "i7"}', beforehand(20))
    >>> key, msgspec.json.decode(value)["event_ids"]
    (b'ada', ['e1'])
    """
    event = _read(value)
    made = Recommendations(
        user_id=event.user_id,
        list_version=1,
        items=items,
        event_ids=[event.event_id],
        event_ts=0.0,
        published_at=0.0,
        emitted_at=0.0,
    )
    return event.user_id.encode(), encode(made)


def beforehand(length: int) -> list[Recommended]:
    """Items that take as much room as those a worker lists."""
    return [Recommended(f"movielens-{number}", 0.123456, "similar", f"movielens-{number}") for number in range(length)]


def attach(app: App, consume: Callable[[StreamT[bytes]], Awaitable[None]]) -> None:
    """Agents as Faust has them, one for each topic, that take raw bytes."""
    for name in CLICKS_AND_VIEWS:
        topic = app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        app.agent(topic, name=f"bench.{name}")(consume)


async def run(settings: Settings) -> None:
    """Answer events until SIGTERM."""
    app = faust_app(settings)
    items = beforehand(settings.worker.list_length)
    producer = AIOKafkaProducer(**clients.kafka(settings.kafka), acks="all", enable_idempotence=True)

    async def echo(stream: StreamT[bytes]) -> None:
        async for value in stream:
            key, made = answer(value, items)
            await producer.send(LISTS, made, key)  # on its way: its acknowledgement is not waited for

    attach(app, echo)
    told_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
    await producer.start()
    await app.start()
    await told_to_end.wait()
    await leave(app)
    await producer.stop()


if __name__ == "__main__":
    set_up_logs()
    uvloop.run(run(load()))
