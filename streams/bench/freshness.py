"""How soon something new is there: from an upload to the first list that has it, or the first search that finds it."""

import asyncio
import base64
import io
import time
import wave
from collections.abc import Callable, Sequence
from itertools import count
from uuid import uuid4

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec import Struct
from PIL import Image

from streams.adapters import clients
from streams.bench import latency
from streams.errors import AnabranchError
from streams.events import ITEMS, Click, Query, SearchResults, Upload, View, encode
from streams.producer import TOPICS
from streams.settings import Settings

FRESH = 10  # uploads of each kind
GLANCE_SECONDS = 0.01  # from one view of a user who waits for the new item to the next
PATIENCE = 300.0
SEED = 11
ANSWERS = "search.results"
_results = msgspec.json.Decoder(SearchResults).decode


class Fresh(Struct, frozen=True):
    """Seconds from each of some uploads to the first list that has the item, or the first search that finds it."""

    kind: str
    seconds: list[float]


def _picture(random: np.random.Generator) -> str:
    """Noise of 160 by 160 pixels, as a `data:` URI."""
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (160, 160, 3), dtype=np.uint8)).save(file, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _sound(random: np.random.Generator) -> str:
    """Two seconds of noise, 16,000 samples each, as a `data:` URI."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        sound.writeframes(random.integers(-8_000, 8_000, 32_000, dtype=np.int16).tobytes())
    return f"data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"


MEDIA: dict[str, Callable[[np.random.Generator], dict[str, str]]] = {
    "text": lambda random: {},
    "text, a picture and a sound": lambda random: {"image": _picture(random), "audio": _sound(random)},
}


async def until_listed(settings: Settings, kind: str) -> Fresh:
    """Each upload is awaited by somebody who has clicked on an item with the same content, and looks at it again.

    kind  one of `MEDIA`

    Raises AnabranchError when one is not listed.
    """
    random = np.random.default_rng(SEED)
    media = [MEDIA[kind](random) for _ in range(FRESH)]
    known, new = ([f"{each} {kind} {number}" for number in range(FRESH)] for each in ("known", "new"))
    async with latency.sending(settings.kafka) as load:
        await _embed(settings, load, [_upload(item, of) for item, of in zip(known, media, strict=True)])
        seconds = [
            await _until_listed(load, f"fan of {before}", before, _upload(item, of))
            for before, item, of in zip(known, new, media, strict=True)
        ]
    return Fresh(kind, seconds)


async def until_found(settings: Settings, kind: str) -> Fresh:
    """Each upload is asked for by its title, again and again; see `until_listed`. Raises TimeoutError."""
    random = np.random.default_rng(SEED)
    producer = AIOKafkaProducer(**clients.kafka(settings.kafka))
    consumer = AIOKafkaConsumer(ANSWERS, **clients.kafka(settings.kafka), group_id=None)
    await producer.start()
    await consumer.start()
    try:
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)
        seconds = []
        for number in range(FRESH):
            upload = _upload(f"sought {kind} {number}", MEDIA[kind](random))
            began = time.monotonic()
            await producer.send(TOPICS[Upload], encode(upload), upload.key.encode())
            async with asyncio.timeout(PATIENCE):
                while not await _finds(producer, consumer, upload):
                    pass
            seconds.append(time.monotonic() - began)
    finally:
        await consumer.stop()
        await producer.stop()
    return Fresh(kind, seconds)


async def _finds(producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, upload: Upload) -> bool:
    """Whether a search for the title, sent now, finds the item."""
    query = Query(event_id=str(uuid4()), ts=time.time(), text=upload.title)
    await producer.send(TOPICS[Query], encode(query), query.key.encode())
    while (message := await consumer.getone()).key != query.key.encode():
        pass
    return any(item.item_id == upload.item_id for item in _results(message.value).items)


def _upload(item_id: str, media: dict[str, str]) -> Upload:
    subject = item_id.split(maxsplit=1)[1]  # what a known item and a new one have in common
    return Upload(event_id=item_id, ts=time.time(), item_id=item_id, title=subject, text=subject, media=media)


async def _embed(settings: Settings, load: latency.Load, uploads: Sequence[Upload]) -> None:
    """Upload, and wait until all are in the log of items."""
    waiting = {each.item_id.encode() for each in uploads}
    consumer = AIOKafkaConsumer(**clients.kafka(settings.kafka), group_id=None)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(ITEMS, 0)])
        await consumer.seek_to_end()
        await consumer.position(TopicPartition(ITEMS, 0))
        for upload in uploads:
            await load.publish(upload)
        async with asyncio.timeout(PATIENCE):
            while waiting:
                waiting.discard((await consumer.getone()).key)
    finally:
        await consumer.stop()


async def _until_listed(load: latency.Load, user: str, known: str, upload: Upload) -> float:
    """Seconds from the upload until the list of a user, who keeps looking at a known item, has the new one."""
    now = time.monotonic
    await load.send([Click(event_id=user, ts=time.time(), user_id=user, item_id=known)], now(), 1.0)
    began = now()
    await load.publish(upload)
    for glance in count():
        if upload.item_id in load.lists.get(user, ()):
            return now() - began
        if now() - began > PATIENCE:
            raise AnabranchError(f"item {upload.item_id!r} is in no list of {user!r} after {PATIENCE:.0f} s")
        view = View(event_id=f"{user} {glance}", ts=time.time(), user_id=user, item_id=known)
        await load.send([view], now(), 1.0)
        await asyncio.sleep(GLANCE_SECONDS)
    raise AssertionError("unreachable: people look again and again")
