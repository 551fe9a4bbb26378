"""What people do, say and send reaches the store and their lists, and nothing that ops look at."""

import logging

import pytest
import structlog
from prometheus_client import REGISTRY, generate_latest

from streams.errors import StoreUnavailable
from streams.ports import Incoming
from tests.pipeline.test_pipeline import World

TRACE = "zaphod"  # in everything that a stranger chooses


async def test_neither_metrics_nor_logs_tell_who_did_what(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World()
    await world.pipeline.own([0])
    with structlog.testing.capture_logs() as logged:
        await world.pipeline.uploads(
            [
                world.upload(f"{TRACE}-1", title=TRACE, text=f"{TRACE} in space", attributes=[TRACE]),
                world.upload(f"{TRACE}-2", text=f"corrupt {TRACE}", media={"image": f"http://127.0.0.1/{TRACE}"}),
                world.upload(f"{TRACE}-3", media={"audio": f"file:///{TRACE}", "video": f"{TRACE}://there"}),
            ]
        )
        await world.pipeline.profiles([world.profile(f"{TRACE}-ada", job=TRACE)])
        click = world.click(f"{TRACE}-ada", f"{TRACE}-1", variant=TRACE)
        other_key = world.message("events.click", TRACE, {"user_id": f"{TRACE}-bob", "item_id": TRACE})
        not_json = Incoming("events.click", 0, 9, TRACE.encode(), TRACE.encode(), 0.0)
        await world.pipeline.interactions([click, click, other_key, not_json])
        world.store.down = True
        with pytest.raises(StoreUnavailable) as raised:
            await world.pipeline.interactions([world.click(f"{TRACE}-eve", f"{TRACE}-1")])
    assert [each.user_id for each in world.lists()] == [f"{TRACE}-ada"] * 2
    assert len(world.sink.on("events.rejected")) == 2
    shown = f"{generate_latest(REGISTRY).decode()} {logged} {caplog.text} {raised.value}"
    assert "anabranch_parts_refused_total" in shown and "anabranch_events_rejected_total" in shown
    assert TRACE not in shown
