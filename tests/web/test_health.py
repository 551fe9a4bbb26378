"""What a process says of its health, and what `anabranch status` makes of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import faust
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from deploy.local import ports, status
from streams import metrics
from streams.adapters.patience import BREAKS_AFTER, breaker
from streams.app import _agents_run
from streams.errors import StoreUnavailable
from streams.settings import load
from streams.web import health as health_module
from streams.web.health import Health, Probe, Report, Unwell, examine
from streams.web.server import CannotListen, listening

Client = TestClient[web.Request, web.Application]


async def well() -> None:
    pass


async def unwell() -> None:
    raise StoreUnavailable("Cassandra does not answer: the wire is cut")


async def silent() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def client(health: Health) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(health.routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def read(client: Client, path: str) -> tuple[int, Report]:
    async with client.get(path) as answer:
        return answer.status, msgspec.json.decode(await answer.read(), type=Report)


async def test_a_process_is_alive_before_it_is_ready(client: Client, health: Health) -> None:
    health.ready.checks["cassandra"] = unwell
    assert (await read(client, "/healthz"))[0] == 200
    assert (await read(client, "/readyz"))[0] == 503


async def test_what_is_wrong_is_said_beside_what_is_well(client: Client, health: Health) -> None:
    health.ready.checks |= {"kafka": well, "cassandra": unwell}
    expected = Report({"cassandra": "Cassandra does not answer: the wire is cut"}, ["kafka"])
    assert await read(client, "/readyz") == (503, expected)


async def test_a_check_that_never_ends_is_given_up_and_the_others_are_told() -> None:
    report = await examine({"triton": silent, "kafka": well}, patience=0.01)
    assert report == Report({"triton": "no answer in 0.01 s"}, ["kafka"])


async def test_however_many_ask_the_servers_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def count() -> None:
        asked.append(1)
        await asyncio.sleep(0)

    monkeypatch.setattr(health_module, "REMEMBERED", 3_600)
    probe = Probe({"kafka": count})
    await asyncio.gather(*(probe.report() for _ in range(100)))
    assert len(asked) == 1


async def test_metrics_are_shown_as_prometheus_reads_them(client: Client) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "anabranch_lists_emitted_total" in await answer.text()


async def test_a_port_that_is_taken_is_named_with_the_setting_that_moves_it() -> None:
    port = ports.choose()
    async with listening(web.Application(), "127.0.0.1", port, setting="ANABRANCH_METRICS__PORT"):
        with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port}.*ANABRANCH_METRICS__PORT"):
            async with listening(web.Application(), "127.0.0.1", port, setting="ANABRANCH_METRICS__PORT"):
                pass


async def test_an_agent_that_has_ended_is_named() -> None:
    app = faust.App("crashing", store="memory://", web_enabled=False)

    @app.agent(app.topic("events.click"), name="anabranch.events.click")
    async def agent(stream: faust.StreamT[bytes]) -> None:
        async for _ in stream:
            raise ZeroDivisionError("an unforeseen mistake")

    async with agent.test_context() as running:
        app.agents["anabranch.events.click"] = running
        await _agents_run(app)
        with pytest.raises(ZeroDivisionError):
            await running.put(b"a click")
        with pytest.raises(Unwell, match=r"anabranch\.events\.click has ended: ZeroDivisionError"):
            await _agents_run(app)


async def test_status_says_what_a_worker_misses(tmp_path: Path, health: Health) -> None:
    settings = ports.choose_all(load(home=tmp_path))
    app = web.Application()
    app.add_routes(health.routes())

    async def line() -> status.Line:
        health.ready._known = None
        return (await asyncio.to_thread(status.report, settings))[-1]

    assert (await line()).detail == f"nothing answers at 127.0.0.1:{settings.metrics.port}"
    async with listening(app, settings.metrics.host, settings.metrics.port, setting=""):
        assert (await line()).next is None
        health.ready.checks["cassandra"] = unwell
        told = await line()
        assert told.detail.startswith("cassandra: Cassandra does not answer: the wire is cut")
        assert told.next == "anabranch up"


async def test_breakers_and_retries_are_shown_to_operators(tmp_path: Path, client: Client, health: Health) -> None:
    of = breaker("triton", TimeoutError)
    health.ready.breakers["triton"] = lambda: str(of.state)
    assert (await read(client, "/readyz"))[1].breakers == {"triton": "closed"}
    for _ in range(BREAKS_AFTER):
        with pytest.raises(TimeoutError), of:
            raise TimeoutError
    metrics.RETRIES.labels("cassandra").inc()
    health.ready._known = None
    settings = ports.choose_all(load(home=tmp_path))
    app = web.Application()
    app.add_routes(health.routes())
    async with listening(app, settings.metrics.host, settings.metrics.port, setting=""):
        detail = (await asyncio.to_thread(status.worker, settings)).detail
    assert detail.startswith("ready") and detail.endswith("calls tried again; breaker of triton open")


async def test_a_program_that_is_no_worker_is_not_taken_for_one(tmp_path: Path) -> None:
    settings = ports.choose_all(load(home=tmp_path))
    async with listening(web.Application(), settings.metrics.host, settings.metrics.port, setting=""):
        lines = await asyncio.to_thread(status.report, settings)
    assert lines[-1].next == "anabranch worker"
