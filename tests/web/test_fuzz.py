"""Whatever is asked over HTTP: every request is answered, none by a fault of ours, and each answer is counted.

`make fuzz` sends two hundred thousand; the bar is shown then.
"""

import asyncio
import logging
import traceback
from collections import Counter

import msgspec
import pytest
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import REGISTRY
from rich.console import Console

from deploy.local import ports
from streams.core.experiments.plan import read
from streams.errors import Rejected
from streams.events import REASONS, Held, reading
from streams.progress import bars
from streams.web.access import Tokens
from streams.web.application import Counted, application
from streams.web.experiments import Watcher
from streams.web.feed import Feed
from streams.web.server import listening
from tests.fuzzing import QUIET, SHARES, Fuzzer, show
from tests.test_experiments import PLAN
from tests.web.fuzzing import HELD, TOKENS, Caller, Requests
from tests.web.world import PICTURE, HttpWorld

PATIENCE = 30.0  # longer than a stream waits before it says that it lives

# What aiohttp logs of a request that is no HTTP, or has another body than it says, and answers with 400.
REFUSED = (HttpProcessingError, web.RequestPayloadError)


class Faults(logging.Handler):
    """What is logged as unhandled, by us and by libraries."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, REFUSED):
            self.seen.append(f"{record.getMessage()}: {error!r}")

    def take(self, _: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """A line of our own."""
        self.seen.append("".join(traceback.format_exception(line["exc_info"])) if "exc_info" in line else str(line))
        raise structlog.DropEvent


def counted() -> Counter[int]:
    """Status -> answers, as the metrics say."""
    found: Counter[int] = Counter()
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name == "anabranch_http_seconds_count":
                found[int(sample.labels["status"])] += int(sample.value)
    return found


async def test_whatever_is_asked_is_answered_and_counted_and_never_a_fault_of_ours(
    fuzzed: tuple[int, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, seed = fuzzed
    count = int(wanted * SHARES["requests"])
    world, faults, outcomes, silent = HttpWorld(Tokens.of(TOKENS), moderated=True), Faults(), Counter[int](), 0
    monkeypatch.setattr("streams.web.application.log", structlog.wrap_logger(None, processors=[faults.take]))
    for name in ("aiohttp", "asyncio"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [faults])
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)
    await world.open()
    world.media.files["file:///p/boat"] = PICTURE
    await world.upload("boat", title="A boat", media={"image": "file:///p/boat", "audio": "file:///p/gone"})
    await world.upload(HELD, title="a mild boat", media={"image": "file:///p/boat"})
    await world.click("u1", "alien", "star")
    before, port = counted(), ports.choose()
    requests, caller = Requests(seed, world.api.endpoints()), Caller(port)
    app = application(world.api, world.health, world.tokens)
    with capsys.disabled(), bars(Console(quiet=wanted <= QUIET)) as progress:
        task = progress.add_task(f"requests of seed {seed}", total=count)
        async with listening(app, "127.0.0.1", port, setting="", told=Counted):
            for number in range(count):
                raw, well_formed = requests.draw()
                answers = await caller.ask(raw, well_formed=well_formed)
                assert answers or not well_formed, f"seed {seed}, request {number} was not answered: {raw!r}"
                assert max(answers, default=0) < 500, f"seed {seed}, request {number}: {answers} {raw!r} {faults.seen}"
                outcomes.update(answers)
                silent += not answers
                world.sink.messages.clear()
                progress.advance(task)
            caller.close()
        await world.close()
        async with asyncio.timeout(PATIENCE):
            while outcomes - (counted() - before):  # noqa: ASYNC110 (a stream is counted when it ends)
                await asyncio.sleep(0)
        told = counted() - before
        if wanted > QUIET:
            shown = Counter({f"answered with {status}": number for status, number in outcomes.items()})
            show("requests over HTTP", shown | {"no whole request, not answered": silent})
    assert not [status for status in told if status >= 500], f"seed {seed}"
    assert faults.seen == [], f"seed {seed}"
    assert told.total() - outcomes.total() <= silent, f"seed {seed}"
    assert outcomes[200] + outcomes[202] > count / 3, f"seed {seed}"


@pytest.mark.parametrize("topic", ["recommendations", "experiments", "moderation.queue"])
def test_whatever_comes_in_what_is_read_beside_the_stream_is_read_or_refused_with_a_reason(
    fuzzed: tuple[int, int], topic: str
) -> None:
    wanted, seed = fuzzed
    count, outcomes = int(wanted * SHARES["logs"] / 3), Counter[str]()
    feed, watcher, fuzzer = Feed(), Watcher(read(PLAN)), Fuzzer(seed)
    take = {"recommendations": feed.take, "experiments": watcher.take, "moderation.queue": reading(Held)}[topic]
    with feed.subscribe("u1"):
        for number in range(count):
            try:
                take(fuzzer.draw(topic)[1] or b"")
                outcomes["read"] += 1
            except Rejected as refusal:
                assert refusal.reason in REASONS, f"seed {seed}, message {number}"
                outcomes["refused"] += 1
    assert min(outcomes["read"], outcomes["refused"]) > count / 8, f"seed {seed}: {outcomes}"
    msgspec.json.encode([feed.activity(), watcher.report()])


async def test_who_goes_away_before_all_is_said_is_counted_and_no_fault_of_ours() -> None:
    world, before, port = HttpWorld(), counted(), ports.choose()
    async with listening(application(world.api, world.health, None), "127.0.0.1", port, setting="", told=Counted):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /events/click HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 100"
        writer.write("\r\n".join((*head, "Expect: 100-continue", "", "")).encode())
        await reader.readuntil(b"\r\n\r\n")  # it has begun to wait for the rest
        writer.close()
        async with asyncio.timeout(PATIENCE):
            while not (told := counted() - before):  # noqa: ASYNC110 (nobody is told of answers that nobody reads)
                await asyncio.sleep(0)
    assert told == {400: 1}
