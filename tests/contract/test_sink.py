"""What every sink keeps its word on: the one in memory and the real Kafka."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest

from streams.adapters.kafka import KafkaSink
from streams.errors import SinkUnavailable
from streams.ports import Outgoing, Sink
from tests.fakes import FakeSink
from tests.integration.running import TopicReader

Seen = Callable[[int], list[tuple[bytes | None, bytes, list[tuple[str, bytes]]]]]


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.servers)])
async def sink_and_seen(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Sink, Seen]]:
    if request.param == "fake":
        fake = FakeSink()
        yield fake, lambda count: [(each.key, each.value, list(each.headers)) for each in fake.messages]
        return
    settings = request.getfixturevalue("servers")
    reader = TopicReader(settings, "events.rejected")
    real = KafkaSink(settings.kafka)
    await real.start()
    yield real, lambda count: [(each.key, each.value, list(each.headers)) for each in reader.read(count)]
    await real.close()
    reader.close()


async def test_what_is_published_can_be_read_with_key_bytes_and_headers(sink_and_seen: tuple[Sink, Seen]) -> None:
    sink, seen = sink_and_seen
    key = str(uuid4()).encode()
    headers = (("reason", b"wrong_type"), ("offset", b"7"))
    await sink.publish([Outgoing("events.rejected", key, b"\xff\x00raw", headers)])
    assert (key, b"\xff\x00raw", list(headers)) in seen(1)


async def test_the_messages_of_one_key_keep_their_order(sink_and_seen: tuple[Sink, Seen]) -> None:
    sink, seen = sink_and_seen
    key = str(uuid4()).encode()
    for start in range(0, 300, 100):
        await sink.publish([Outgoing("events.rejected", key, str(n).encode()) for n in range(start, start + 100)])
    assert [int(value) for found, value, _ in seen(300) if found == key] == list(range(300))


async def test_nothing_to_publish_is_no_error(sink_and_seen: tuple[Sink, Seen]) -> None:
    sink, _ = sink_and_seen
    await sink.publish([])


@pytest.mark.servers
async def test_whether_kafka_answers_can_be_asked(servers: object) -> None:
    sink = KafkaSink(servers.kafka)  # type: ignore[attr-defined]
    await sink.start()
    await sink.check()
    await sink.close()


@pytest.mark.servers
async def test_a_message_over_kafkas_limit_is_an_error_and_not_lost_in_silence(servers: object) -> None:
    sink = KafkaSink(servers.kafka)  # type: ignore[attr-defined]
    await sink.start()
    with pytest.raises(SinkUnavailable, match="did not take"):
        await sink.publish([Outgoing("events.rejected", b"k", b"x" * (5 * 1024 * 1024))])
    await sink.close()
