"""A batch is a span, its stages are spans within it, and it is linked to the spans that its events come from."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from streams import tracing
from streams.agents import CLICKS_AND_VIEWS, Agents
from streams.logs import with_trace
from streams.ports import Outgoing
from tests.pipeline.test_pipeline import NOW, World
from tests.test_agents import GENERATION, FakeConsumer, FakeMessage
from tests.web.world import HttpWorld

ONE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = b"00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00"


class Traced:
    """What was traced, once it is asked for."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        tracing.send_to(self._exporter, service="tests")

    def all(self) -> Sequence[ReadableSpan]:
        tracing.shut_down()
        return self._exporter.get_finished_spans()

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.all()}


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    tracing.shut_down()


def message(value: Any, *parents: bytes) -> FakeMessage:
    """As Faust has it."""
    made: Any = FakeMessage(value.offset)
    made.topic, made.key, made.value, made.generation_id = value.topic, value.key, value.value, GENERATION
    made.timestamp = value.published_at
    made.headers = [("traceparent", parent) for parent in parents] or None
    found: FakeMessage = made
    return found


async def handle(world: World, *messages: FakeMessage) -> list[str]:
    """As an agent does; how the process died, if it did."""
    deaths: list[str] = []
    agents = Agents(world.pipeline, batch_size=10, batch_keys=10, die=lambda: deaths.append("died"))
    handler = agents._handlers[CLICKS_AND_VIEWS]
    await agents._handle_or_die(handler, messages, FakeConsumer(), None, lambda: None)  # type: ignore[arg-type]
    return deaths


async def test_a_batch_is_a_span_with_its_stages_and_is_linked_to_where_its_events_come_from(traced: Traced) -> None:
    world = World()
    await world.open_cinema()
    first, second, third = (world.click("ada", item) for item in ("alien", "star", "love"))
    assert await handle(world, message(first, ONE), message(second, ONE), message(third, OTHER)) == []
    spans = traced.spans()
    batch = spans["process events.click"]
    assert batch.attributes is not None and batch.context is not None
    assert batch.attributes["messaging.batch.message_count"] == 3
    assert batch.attributes["messaging.kafka.offset"] == first.offset
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == [each.decode()[3:35] for each in (ONE, OTHER)]
    for stage in ("store", "rank", "emit"):
        assert spans[stage].parent is not None and spans[stage].parent.span_id == batch.context.span_id


def test_a_line_of_the_log_names_the_trace_that_it_belongs_to(traced: Traced) -> None:
    with tracing.batch([message(World().click("ada", "alien"))]):
        said = with_trace(None, "info", {"event": "said within"})
    assert with_trace(None, "info", {"event": "said without"}) == {"event": "said without"}
    batch = traced.spans()["process events.click"]
    assert batch.context is not None and said["trace_id"] == f"{batch.context.trace_id:032x}"


async def test_what_a_batch_publishes_carries_its_span(traced: Traced) -> None:
    with tracing.batch([message(World().click("ada", "alien"))]):
        context = trace.get_current_span().get_span_context()
        [(name, value)] = tracing.headers()
        assert (name, value[:52]) == (
            "traceparent",
            f"00-{context.trace_id:032x}-{context.span_id:016x}".encode(),
        )
    assert tracing.headers() == ()


@pytest.mark.parametrize("garbled", [b"", b"\xff\xfe", b"00-0-0-01", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"])
async def test_a_garbled_header_is_no_link(traced: Traced, garbled: bytes) -> None:
    world = World()
    await world.open_cinema()
    await handle(world, message(world.click("ada", "alien"), garbled))
    assert traced.spans()["process events.click"].links == ()


async def test_a_failed_batch_is_told_by_the_kind_of_its_error_and_names_nobody(traced: Traced) -> None:
    world = World()
    await world.open_cinema()
    world.store.down = True
    assert await handle(world, message(world.click("zaphod", "zaphod"), ONE)) == ["died"]
    spans = traced.spans()
    batch = spans["process events.click"]
    assert not batch.status.is_ok and batch.attributes is not None
    assert batch.attributes["error.type"] == "StoreUnavailable"
    assert not any("zaphod" in span.to_json() for span in spans.values())


async def test_the_log_of_a_failed_batch_has_the_ids_of_its_first_events_and_names_nobody() -> None:
    world = World()
    await world.open_cinema()
    world.store.down = True
    clicks = [message(world.click("zaphod", "zaphod", event_id=f"c-{number}")) for number in range(7)]
    with capture_logs() as lines:
        assert await handle(world, *clicks) == ["died"]
    [line] = [each for each in lines if each["log_level"] == "critical"]
    assert line["event_ids"] == ["c-0", "c-1", "c-2", "c-3", "c-4"]
    assert (line["topic"], line["offset"], line["events"]) == ("events.click", clicks[0].offset, 7)
    assert "zaphod" not in str({key: value for key, value in line.items() if key != "exc_info"})


async def test_without_traces_nothing_is_linked_and_no_header_is_added() -> None:
    world = World()
    await world.open_cinema()
    assert await handle(world, message(world.click("ada", "alien"), ONE)) == []
    assert tracing.headers() == ()


def test_a_worker_that_does_not_trace_imports_nothing_for_it() -> None:
    code = "import sys, streams.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PATH = "GET /users/{user_id}/recommendations"


async def test_an_answer_over_http_is_a_span_of_its_callers_trace_and_names_nobody(traced: Traced) -> None:
    world = HttpWorld()
    await world.open()
    assert (await world.get("/users/zaphod/recommendations", traceparent=ONE.decode()))[0] == 200
    assert (await world.get("/users/zaphod"))[0] == 404
    assert (await world.get("/healthz"))[0] == 200
    world.store.down = True
    assert (await world.get("/users/trillian/recommendations"))[0] == 503
    await world.close()
    spans = traced.all()
    asked = {name: [each for each in spans if each.name == name] for name in {each.name for each in spans}}
    good, failed = asked[PATH]
    assert good.context is not None and good.parent is not None and good.attributes is not None
    assert f"{good.context.trace_id:032x}" == ONE.decode()[3:35] and good.status.is_ok
    assert good.attributes["http.response.status_code"] == 200
    assert not failed.status.is_ok
    assert all(each.status.status_code.name == "UNSET" for each in asked["GET /users/{user_id}"])
    assert not any("healthz" in name for name in asked)
    assert not any(name in each.to_json() for each in spans for name in ("zaphod", "trillian"))


async def test_an_event_sent_over_http_carries_the_span_of_its_answer(traced: Traced) -> None:
    world = HttpWorld()
    headers: list[Any] = []
    publish = world.sink.publish

    async def kept(messages: Sequence[Outgoing]) -> None:
        headers.extend(tracing.headers())
        headers.extend(header for each in messages for header in each.headers)
        await publish(messages)

    world.sink.publish = kept  # type: ignore[method-assign]
    await world.open()
    click = {"event_id": "e", "user_id": "ada", "item_id": "alien", "ts": NOW}
    status, _ = await world.post("/events/click", click, traceparent=ONE.decode())
    await world.close()
    [span] = [each for each in traced.all() if each.name.startswith("POST /events/")]
    assert status == 202 and span.context is not None
    [(name, value)] = headers  # once: ours, within the sender's trace
    assert (name, value[:52]) == ("traceparent", ONE[:36] + f"{span.context.span_id:016x}".encode())
