"""Vectors of different weights never mix: what would be made in another space than the items are in waits."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from encoders.contract import DIM
from streams.adapters.index import VectorIndex
from streams.adapters.triton import PatientEmbedder
from streams.core.fusion import Average
from streams.errors import OtherSpace
from streams.events import Embedded, encode
from streams.one_space import OneSpace
from streams.ports import Logged
from streams.replica import ITEMS, Replica
from streams.spaces import Spaces
from tests.fakes import FakeEmbedder
from tests.pipeline.test_pipeline import WEIGHTS, World, world  # noqa: F401 (a fixture)


def differs(part: str) -> float | None:
    return REGISTRY.get_sample_value("anabranch_other_space", {"part": part})


async def until(condition: Callable[[], bool]) -> None:
    """Let others have their turn until something is so."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0)
            if condition():
                return


async def test_what_is_announced_names_the_space_of_each_vector(world: World) -> None:  # noqa: F811
    told = msgspec.json.decode(world.sink.on(ITEMS)[0].value or b"", type=Embedded)
    assert told.spaces == {"text": "fake", "fused": Average(WEIGHTS).space} == world.replica.spaces.known


async def test_while_triton_serves_other_weights_uploads_wait_and_then_go_on(world: World) -> None:  # noqa: F811
    guarded = OneSpace(world.embedder, world.replica.spaces, Average(WEIGHTS).space)
    world.pipeline.embedder = PatientEmbedder(guarded, longest_wait=0.01)
    world.embedder.space = "other"
    known = set(world.replica.item_vectors)
    upload = asyncio.create_task(world.pipeline.uploads([world.upload("late", text="space opera")]))
    with capture_logs() as logs:
        await until(lambda: bool(differs("text")))
    await world.pipeline.profiles([world.profile("ada", age=30)])
    await world.pipeline.interactions([world.click("ada", "alien")])
    assert world.lists()[-1].items and not upload.done() and set(world.replica.item_vectors) == known
    with pytest.raises(OtherSpace, match=r"of text other \(items: fake\); uploads wait; next: anabranch rebuild"):
        await guarded.check()
    assert [each["part"] for each in logs if each["log_level"] == "error"] == ["text"]
    world.embedder.space = "fake"
    await upload
    assert set(world.replica.item_vectors) == known | {"late"} and differs("text") == 0
    await guarded.check()


async def test_while_they_wait_no_content_is_embedded_again_and_again() -> None:
    embedder = FakeEmbedder()
    guarded = OneSpace(embedder, Spaces({"text": "before"}))
    for _ in range(3):
        with pytest.raises(OtherSpace):
            await guarded.embed("text", [b"a", b"b"])
    assert embedder.calls == [("text", 2), ("text", 1), ("text", 1)]


async def test_an_operator_hears_of_it_before_anybody_uploads() -> None:
    guarded = OneSpace(FakeEmbedder(), Spaces({"video": "before", "fused": "f"}), "g")
    watching = asyncio.create_task(guarded.watch())
    await until(lambda: bool(differs("video") and differs("fused")))
    watching.cancel()
    with pytest.raises(OtherSpace, match=r"of fused g \(items: f\), video fake \(items: before\)"):
        await guarded.check()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Average({"text": 1.0}), Average({"text": 1}), True),
        (Average({"text": 1.0, "image": 0.5}), Average({"image": 0.5, "text": 1.0}), True),
        (Average({"text": 1.0, "image": 0.5}), Average({"text": 1.0, "image": 0.25}), False),
    ],
)
def test_averages_are_of_one_space_where_their_weights_are_the_same(one: Average, other: Average, same: bool) -> None:
    assert (one.space == other.space) is same


def an_item(item_id: str, **spaces: str) -> Logged:
    vectors = {name: bytes(4 * DIM) for name in spaces}
    return Logged(0, encode(Embedded(item_id=item_id, at=1.0, vectors=vectors, spaces=spaces)))


async def test_an_item_of_another_space_is_left_out_by_all_who_follow_the_log() -> None:
    log = [an_item("of before"), an_item("a", fused="1"), an_item("b", fused="2"), an_item("c", text="3", fused="1")]
    replicas = [Replica(VectorIndex(DIM), worker=name, items_topic=ITEMS) for name in ("w1", "w2")]
    await replicas[0].follow(ITEMS, log)
    await replicas[1].follow(ITEMS, log[:2])
    again = Replica(VectorIndex(DIM), worker="w3", items_topic=ITEMS)
    again.restore(b"".join(replicas[1].snapshot()))
    await again.follow(ITEMS, log[2:])
    for replica in (replicas[0], again):
        assert set(replica.item_vectors) == {"of before", "a", "c"}
        assert replica.spaces.known == {"fused": "1", "text": "3"}
