"""The metrics of several workers, added up."""

from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from streams.web.answers import Timings
from streams.web.flow import FlowReader


def shown(clicks: int, seconds: float) -> bytes:
    """What a worker shows that has handled some clicks."""
    registry = CollectorRegistry()
    Counter("anabranch_events", "", ["topic"], registry=registry).labels("events.click").inc(clicks)
    Counter("anabranch_lists_emitted", "", registry=registry).inc(clicks)
    Gauge("anabranch_index_items", "", registry=registry).set(100 + clicks)
    lag = Gauge("anabranch_consumer_lag_events", "", ["topic", "partition"], registry=registry)
    for partition in "01":
        lag.labels("events.click", partition).set(clicks)
    stage = Histogram("anabranch_stage_seconds", "", ["stage"], buckets=(0.1, 1), registry=registry)
    stage.labels("rank").observe(seconds)
    return generate_latest(registry)


async def test_all_workers_are_added_up_and_one_that_is_down_is_named() -> None:
    answers = iter((shown(3, 0.05), shown(4, 0.5)))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=next(answers), content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    async with TestServer(app) as first, TestServer(app) as second:
        workers = [f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}", "127.0.0.1:1"]
        flow = await FlowReader(workers, clock=lambda: 7.0).read()
    assert flow.at == 7.0
    assert [bool(wrong) for wrong in flow.workers.values()] == [False, False, True]
    assert (flow.events, flow.lists, flow.waiting) == ({"events.click": 7}, 7, {"events.click": 14})
    assert flow.items == 104  # each knows them all: they are not added
    assert flow.stages["rank"] == Timings(2, 0.55, [(0.1, 1), (1.0, 2)])


async def test_however_many_ask_the_workers_are_asked_once() -> None:
    asked: list[int] = []

    async def metrics(_: web.Request) -> web.Response:
        asked.append(1)
        return web.Response(body=shown(1, 1))

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    async with TestServer(app) as worker:
        reader = FlowReader([f"127.0.0.1:{worker.port}"])
        first = await reader.read()
        assert await reader.read() is first and len(asked) == 1
