"""The path of a micro-batch, with the outside world in memory."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from encoders.contract import DIM, PARTS
from streams.adapters.index import VectorIndex
from streams.adapters.media import MediaReader
from streams.core.experiments.plan import Plan
from streams.core.fusion import Average
from streams.errors import EmbedderUnavailable, Fenced, StoreUnavailable
from streams.events import ITEMS, Embedded, Learned, Recommendations
from streams.pipeline import Pipeline
from streams.pipeline.policy import Policy
from streams.ports import Incoming, Logged, Outgoing
from streams.replica import TOPICS, Replica
from tests.fakes import FakeEmbedder, FakeSink, FakeStore

NOW = 1_700_000_000.0
WEIGHTS = dict.fromkeys(PARTS, 1.0)
FILMS = {
    "alien": "space horror monster",
    "aliens": "space horror soldiers",
    "star": "space adventure",
    "love": "romance paris",
    "amelie": "romance paris cafe",
    "kiss": "romance rome",
}


class Loop(FakeSink):
    """Brings what is published into the logs straight back to the replica, as Kafka and the follower do."""

    replica: Replica
    loops = True

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        await super().publish(messages)
        if self.loops:
            await self.bring_back(messages)

    async def bring_back(self, messages: Sequence[Outgoing]) -> None:
        for topic in TOPICS:
            values = [message.value for message in messages if message.topic == topic]
            start = self.replica.offsets[topic]
            await self.replica.follow(topic, [Logged(start + n, value) for n, value in enumerate(values)])


class World:
    """A pipeline among fakes, and short ways to send it things."""

    def __init__(self, store: FakeStore | None = None, plan: Plan | None = None) -> None:
        self.store, self.embedder, self.sink = store or FakeStore(), FakeEmbedder(), Loop()
        index = VectorIndex(DIM)
        self.replica = self.sink.replica = Replica(index, worker="w1", items_topic=ITEMS)
        self.pipeline = Pipeline(
            store=self.store,
            embedder=self.embedder,
            media=MediaReader(None),
            sink=self.sink,
            replica=self.replica,
            fuse=Average(WEIGHTS),
            policy=Policy(modality_weights=WEIGHTS),
            partition_of=lambda key: 0,
            experiments=plan,
            clock=lambda: self.now,
        )
        self.sent, self.now = 0, NOW

    def message(self, topic: str, key: str, fields: dict[str, Any]) -> Incoming:
        self.sent += 1
        value = json.dumps({"event_id": f"e{self.sent}", "ts": NOW - 100 + self.sent} | fields).encode()
        return Incoming(topic, 0, self.sent, key.encode(), value, NOW - 0.01)

    def click(self, user: str, item: str, **fields: Any) -> Incoming:
        return self.message("events.click", user, {"user_id": user, "item_id": item} | fields)

    def upload(self, item: str, **fields: Any) -> Incoming:
        return self.message("events.upload", item, {"item_id": item} | fields)

    def profile(self, user: str, **traits: Any) -> Incoming:
        return self.message("events.profile", user, {"user_id": user, "traits": traits})

    def forget(self, user: str, **fields: Any) -> Incoming:
        return self.message("events.forget", user, {"user_id": user} | fields)

    async def open_cinema(self) -> None:
        await self.pipeline.own([0])
        await self.pipeline.uploads([self.upload(name, text=words) for name, words in FILMS.items()])

    def lists(self) -> list[Recommendations]:
        messages = self.sink.on("recommendations")
        return [msgspec.json.decode(each.value, type=Recommendations) for each in messages if each.value is not None]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.open_cinema()
    return world


async def test_an_upload_is_embedded_stored_and_announced_to_all_workers(world: World) -> None:
    announced = [msgspec.json.decode(each.value, type=Embedded) for each in world.sink.on("items.embedded")]
    assert {each.item_id for each in announced} == set(FILMS) == set(world.store.items)
    assert all(set(each.vectors) == {"text", "fused"} for each in announced)


async def test_many_uploads_make_one_call_to_triton(world: World) -> None:
    assert world.embedder.calls == [("text", len(FILMS))]


async def test_uploads_are_embedded_together_as_far_as_memory_holds_the_largest_that_are_allowed(world: World) -> None:
    world.embedder.calls.clear()
    clips = [world.upload(f"clip-{n}", media={"video": "data:,clip"}) for n in range(20)]
    await world.pipeline.uploads(clips)
    assert world.embedder.calls == [("video", 16), ("video", 4)]  # of 64 MiB each, 16 make the 1 GiB
    assert {f"clip-{n}" for n in range(20)} < set(world.store.items)


async def test_a_click_brings_a_list_without_the_item_clicked(world: World) -> None:
    await world.pipeline.interactions([world.click("ada", "alien")])
    [list_] = world.lists()
    assert list_.user_id == "ada"
    assert "alien" not in [item.item_id for item in list_.items]
    assert {item.item_id for item in list_.items} == set(FILMS) - {"alien"}


async def test_a_list_names_the_events_that_caused_it_and_when_it_was_emitted(world: World) -> None:
    click = world.click("ada", "alien")
    await world.pipeline.interactions([click])
    [list_] = world.lists()
    assert list_.event_ids == [f"e{click.offset}"]
    assert list_.published_at == click.published_at
    assert list_.emitted_at == NOW


async def test_one_batch_makes_one_list_for_each_user_touched(world: World) -> None:
    clicks = [("ada", "alien"), ("bob", "love"), ("ada", "aliens"), ("ada", "star")]
    await world.pipeline.interactions([world.click(user, item) for user, item in clicks])
    assert sorted(list_.user_id for list_ in world.lists()) == ["ada", "bob"]


async def test_the_items_most_like_a_users_taste_come_first(world: World) -> None:
    await world.pipeline.interactions([world.click("ada", "alien")])
    assert world.lists()[-1].items[0].item_id == "aliens"


async def test_a_repeated_event_changes_nothing_but_is_answered_with_a_list(world: World) -> None:
    click = world.click("ada", "alien")
    await world.pipeline.interactions([click])
    once = world.store.users["ada"].taste
    await world.pipeline.interactions([click, click])
    twice = world.store.users["ada"].taste
    np.testing.assert_array_equal(once.totals["fused"], twice.totals["fused"])
    assert world.store.users["ada"].history.item_ids == ["alien"]
    assert len(world.lists()) == 2


async def test_a_worker_that_starts_anew_goes_on_from_what_is_stored(world: World) -> None:
    clicks = [world.click("ada", item) for item in ("alien", "star", "love")]
    await world.pipeline.interactions(clicks)
    successor = World(world.store)
    await successor.open_cinema()
    await successor.pipeline.interactions([clicks[2], world.click("ada", "kiss")])
    reborn = successor.store.users["ada"]
    assert reborn.history.item_ids == ["alien", "star", "love", "kiss"]

    unbroken = World()
    await unbroken.open_cinema()
    await unbroken.pipeline.interactions([*clicks, world.click("ada", "kiss", ts=reborn.taste.as_of)])
    expected = unbroken.store.users["ada"].taste.totals["fused"]
    np.testing.assert_allclose(reborn.taste.totals["fused"], expected, rtol=1e-5, atol=1e-7)


async def test_bad_events_become_dead_letters_with_their_bytes_and_good_ones_go_on(world: World) -> None:
    bad = Incoming("events.click", 0, 77, b"ada", b'{"event_id": 5}', NOW)
    await world.pipeline.interactions([world.click("ada", "alien"), bad, world.click("ada", "star")])
    [letter] = world.sink.on("events.rejected")
    assert letter.value == bad.value and letter.key == b"ada"
    headers = dict(letter.headers)
    assert headers["reason"] == b"wrong_type"
    assert (headers["topic"], headers["partition"], headers["offset"]) == (b"events.click", b"0", b"77")
    assert world.store.users["ada"].history.item_ids == ["alien", "star"]


async def test_one_bad_event_in_a_while_is_logged_by_its_id_and_place_and_never_by_its_user(world: World) -> None:
    def bad(number: int, **fields: Any) -> Incoming:
        given = {"event_id": f"bad-{number}", "user_id": "zaphod", "ts": NOW} | fields
        return Incoming("events.click", 0, number, b"zaphod", json.dumps(given).encode(), NOW)

    with capture_logs() as lines:
        await world.pipeline.interactions([bad(1), bad(2), bad(3, item_id=4)])
        await world.pipeline.interactions([bad(4)])
        world.now += 11
        await world.pipeline.interactions([bad(5)])
    said = [(each["event_id"], each["offset"], each["reason"], each["more_before"]) for each in lines]
    assert said == [("bad-1", 1, "missing_field", 0), ("bad-3", 3, "wrong_type", 0), ("bad-5", 5, "missing_field", 2)]
    assert "zaphod" not in str(lines)
    assert len(world.sink.on("events.rejected")) == 5


async def test_nothing_is_published_when_the_store_fails(world: World) -> None:
    world.sink.messages.clear()
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        await world.pipeline.interactions([world.click("ada", "alien")])
    assert world.sink.messages == []


async def test_clicks_flow_on_while_triton_is_down(world: World) -> None:
    world.embedder.down = True
    with pytest.raises(EmbedderUnavailable):
        await world.pipeline.uploads([world.upload("new", text="space")])
    await world.pipeline.interactions([world.click("ada", "alien")])
    assert len(world.lists()) == 1


async def test_a_click_on_an_item_not_yet_uploaded_joins_the_taste_once_it_is(world: World) -> None:
    await world.pipeline.interactions([world.click("ada", "early", ts=NOW - 50)])
    assert world.store.users["ada"].taste.direction() is None
    await world.pipeline.uploads([world.upload("early", text="romance paris")])
    await world.pipeline.interactions([world.click("ada", "alien", ts=NOW - 40)])
    both = world.store.users["ada"].taste

    in_order = World()
    await in_order.open_cinema()
    await in_order.pipeline.uploads([in_order.upload("early", text="romance paris")])
    await in_order.pipeline.interactions(
        [in_order.click("ada", "early", ts=NOW - 50), in_order.click("ada", "alien", ts=NOW - 40)]
    )
    expected = in_order.store.users["ada"].taste.totals["fused"]
    np.testing.assert_allclose(both.totals["fused"], expected, rtol=1e-5, atol=1e-7)


async def test_a_new_user_gets_a_list_from_their_profile_alone(world: World) -> None:
    await world.pipeline.profiles([world.profile("eve", age=30, occupation="writer")])
    [list_] = world.lists()
    assert list_.user_id == "eve" and len(list_.items) == len(FILMS)
    assert world.store.users["eve"].profile is not None


async def test_the_text_of_an_upload_is_announced_with_what_is_said_in_it(world: World) -> None:
    await world.pipeline.uploads([world.upload("frog", text="It is green.", media={"speech": "data:,croak"})])
    told = msgspec.json.decode(world.sink.on("items.embedded")[-1].value, type=Embedded)
    assert (told.item_id, told.text) == ("frog", "It is green.\ncroak")


async def test_the_language_of_an_upload_is_announced(world: World) -> None:
    await world.pipeline.uploads(
        [world.upload("dieb", text="ein Dieb in Rom"), world.upload("thief", text="a thief in Rome")]
    )
    told = [msgspec.json.decode(each.value, type=Embedded) for each in world.sink.on("items.embedded")[-2:]]
    assert {item.item_id: item.language for item in told} == {"dieb": "de", "thief": ""}


async def test_a_part_that_cannot_be_read_is_refused_and_the_item_goes_on_without_it(world: World) -> None:
    upload = world.upload("dune", text="space desert", media={"image": "data:,corrupt"})
    await world.pipeline.uploads([upload])
    item = msgspec.json.decode(world.sink.on("items.embedded")[-1].value, type=Embedded)
    assert set(item.vectors) == {"text", "fused"}
    assert item.refused == {"image": "Undecodable: it says so itself"}


async def test_a_withdrawn_item_leaves_every_list(world: World) -> None:
    await world.pipeline.uploads([world.upload("aliens", withdrawn=True)])
    await world.pipeline.interactions([world.click("ada", "alien")])
    assert "aliens" not in [item.item_id for item in world.lists()[-1].items]


async def test_an_item_may_be_withdrawn_before_it_was_ever_uploaded(world: World) -> None:
    await world.pipeline.uploads([world.upload("unheard of", withdrawn=True)])
    await world.pipeline.interactions([world.click("ada", "alien")])
    assert {item.item_id for item in world.lists()[-1].items} == set(FILMS) - {"alien"}


async def test_every_interaction_is_logged_for_the_other_workers(world: World) -> None:
    await world.pipeline.interactions([world.click("ada", "alien"), world.click("bob", "star")])
    logged = [msgspec.json.decode(each.value, type=Learned) for each in world.sink.on("interactions")]
    assert [(each.user_id, [touch.item_id for touch in each.touches], each.worker) for each in logged] == [
        ("ada", ["alien"], "w1"),
        ("bob", ["star"], "w1"),
    ]


async def test_an_item_uploaded_after_a_users_clicks_can_be_in_their_next_list(world: World) -> None:
    await world.pipeline.interactions([world.click("ada", "alien")])
    await world.pipeline.uploads([world.upload("alien3", text="space horror prison")])
    await world.pipeline.interactions([world.click("ada", "star")])
    assert "alien3" in [item.item_id for item in world.lists()[-1].items]


async def test_a_worker_that_slept_through_a_rebalance_changes_nothing(world: World) -> None:
    sleeper, owner = world, World(world.store)
    await sleeper.pipeline.interactions([sleeper.click("ada", "alien")])
    await owner.open_cinema()  # claims the partition
    await owner.pipeline.interactions([owner.click("ada", "star", event_id="new")])

    sleeper.sink.messages.clear()
    for item in ("love", "kiss"):
        with pytest.raises(Fenced):
            await sleeper.pipeline.interactions([sleeper.click("ada", item)])
    with pytest.raises(Fenced):
        await sleeper.pipeline.interactions([sleeper.click("bob", "love")])
    with pytest.raises(Fenced):
        await sleeper.pipeline.uploads([sleeper.upload("alien", text="romance")])
    assert world.store.users["ada"].history.item_ids == ["alien", "star"]
    assert not sleeper.sink.on("items.embedded")
    [newest] = owner.lists()
    assert all(each.list_version < newest.list_version for each in sleeper.lists()), "readers drop them"


async def test_a_worker_that_wakes_does_not_take_a_user_who_was_written_since_for_its_own(world: World) -> None:
    owner = World(world.store)
    await owner.open_cinema()
    await owner.pipeline.interactions([owner.click("ada", "star")])
    with pytest.raises(Fenced, match="beyond epoch"):
        await world.pipeline.interactions([world.click("ada", "love")])


async def test_lists_of_a_new_owner_are_newer_than_any_of_the_former(world: World) -> None:
    for item in ("alien", "star", "love"):
        await world.pipeline.interactions([world.click("ada", item)])
    owner = World(world.store)
    await owner.open_cinema()
    await owner.pipeline.interactions([owner.click("ada", "kiss", event_id="new")])
    assert owner.lists()[0].list_version > max(each.list_version for each in world.lists())


async def test_users_are_read_back_after_a_rebalance(world: World) -> None:
    await world.pipeline.interactions([world.click("ada", "alien")])
    reads = world.store.reads
    await world.pipeline.interactions([world.click("ada", "star")])
    assert world.store.reads == reads
    world.pipeline.disown()
    await world.pipeline.own([0])
    await world.pipeline.interactions([world.click("ada", "love")])
    assert world.store.reads == reads + 1
    assert world.store.users["ada"].history.item_ids == ["alien", "star", "love"]


async def test_an_event_in_a_partition_that_is_not_its_keys_is_refused(world: World) -> None:
    world.pipeline.partition_of = lambda key: len(key) % 2
    await world.pipeline.interactions([world.click("ada", "alien"), world.click("anna", "alien")])
    [letter] = world.sink.on("events.rejected")
    assert (letter.key, dict(letter.headers)["reason"]) == (b"ada", b"wrong_partition")
    assert set(world.store.users) == {"anna"}


async def test_an_older_upload_that_comes_later_changes_nothing(world: World) -> None:
    await world.pipeline.uploads([world.upload("dune", text="space desert", ts=NOW - 10)])
    announced = len(world.sink.messages)
    await world.pipeline.uploads([world.upload("dune", text="romance paris", ts=NOW - 20)])
    assert len(world.sink.messages) == announced
    assert world.store.items["dune"].at == NOW - 10


async def test_of_an_items_uploads_in_one_batch_the_latest_counts(world: World) -> None:
    await world.pipeline.uploads(
        [world.upload("dune", title="new", ts=NOW - 10), world.upload("dune", title="old", ts=NOW - 20)]
    )
    assert world.store.items["dune"].title == "new"


async def test_of_uploads_at_the_same_time_the_last_in_the_log_counts(world: World) -> None:
    for title in ("first", "last"):
        await world.pipeline.uploads([world.upload("dune", title=title, ts=NOW - 10)])
    assert world.store.items["dune"].title == "last"


async def test_an_older_announcement_of_an_item_does_not_replace_the_newer_in_memory(world: World) -> None:
    old, new = (Embedded(item_id="dune", at=NOW, offset=n, vectors={"fused": bytes([n]) * 4 * DIM}) for n in (1, 2))
    await world.sink.publish([Outgoing("items.embedded", b"dune", msgspec.json.encode(each)) for each in (new, old)])
    assert world.replica.item_vectors["dune"]["fused"].tobytes() == new.vectors["fused"]


async def test_an_older_profile_that_comes_later_is_counted_and_changes_nothing(world: World) -> None:
    newer = world.message("events.profile", "eve", {"user_id": "eve", "traits": {"age": 31}, "ts": NOW - 10})
    older = world.message("events.profile", "eve", {"user_id": "eve", "traits": {"age": 30}, "ts": NOW - 20})
    await world.pipeline.profiles([newer])
    await world.pipeline.profiles([older])
    assert world.store.users["eve"].traits == b'{"age":31}'


async def test_the_cache_of_users_is_bounded_and_what_falls_out_is_read_back(world: World) -> None:
    world.pipeline.policy = msgspec.structs.replace(world.pipeline.policy, cached_users=2)
    for name in ("ada", "bob", "eve", "ada"):
        await world.pipeline.interactions([world.click(name, "alien" if name != "ada" else "star")])
    assert len(world.pipeline._owned.users) == 2
    assert world.store.users["ada"].history.item_ids == ["star", "star"]


async def test_each_click_is_judged_once_by_the_list_its_user_held_before_it(world: World) -> None:
    first = world.click("ada", "alien")
    await world.pipeline.interactions([first])
    quality = world.pipeline.lists.quality
    assert quality.figures(len(FILMS)).clicks == 0, "there was no list yet"
    held = [item.item_id for item in world.lists()[-1].items]
    second = world.click("ada", held[1])
    view = world.message("events.view", "ada", {"user_id": "ada", "item_id": held[2]})
    await world.pipeline.interactions([first, second, second, view])
    figures = quality.figures(len(FILMS))
    assert (figures.clicks, figures.recall, figures.mrr) == (1, 1.0, 1 / 2)
    assert figures.coverage == len(held) / len(FILMS)
    world.pipeline.disown()
    await world.pipeline.own([0])
    await world.pipeline.interactions([world.click("ada", held[3])])
    assert quality.figures(len(FILMS)).clicks == 1, "another worker may have served a newer list"


@pytest.mark.parametrize(
    ("said", "weight"),
    [({}, 1.0), ({"rating": 0.25}, 0.25), ({"dwell_s": 30.0}, 1.0), ({"dwell_s": 60.0, "rating": 0.5}, 0.75)],
)
async def test_a_rating_and_the_time_spent_decide_how_much_a_click_says(
    world: World, said: dict[str, float], weight: float
) -> None:
    await world.pipeline.interactions([world.click("ada", "alien", **said)])
    [logged] = world.sink.on("interactions")
    assert msgspec.json.decode(logged.value, type=Learned).touches[0].weight == weight
    assert world.store.users["ada"].history.weights == [weight]


@pytest.mark.parametrize("said", [{"dwell_s": 0.0}, {"rating": 0.0}, {"rating": 5e-324}], ids=str)
async def test_a_click_that_says_nothing_teaches_nothing_but_is_not_shown_again(
    world: World, said: dict[str, float]
) -> None:
    before = world.replica.recommender.snapshot()
    await world.pipeline.interactions([world.click("ada", "alien", **said)])
    assert world.replica.recommender.snapshot() == before
    assert world.store.users["ada"].view(WEIGHTS).taste is None
    assert "alien" not in {item.item_id for item in world.lists()[-1].items}


async def test_a_list_waits_for_what_its_worker_published_before_to_be_learned(world: World) -> None:
    world.sink.loops = False
    await world.pipeline.interactions([world.click(user, item) for user in ("bob", "cal") for item in ("love", "star")])
    next_list = asyncio.create_task(world.pipeline.interactions([world.click("ada", "love")]))
    for _ in range(100):  # turns enough to be through, did it not wait
        await asyncio.sleep(0)
    assert "ada" not in [list_.user_id for list_ in world.lists()]
    await world.sink.bring_back(world.sink.on("interactions"))
    await next_list
    list_ = world.lists()[-1]
    assert (list_.user_id, list_.items[0].item_id) == ("ada", "star")


async def test_a_profile_is_told_to_all_workers_once_with_the_users_first_interaction(world: World) -> None:
    await world.pipeline.profiles([world.profile("eve", age=30)])
    for item in ("alien", "star"):
        await world.pipeline.interactions([world.click("eve", item)])
    first, second = (msgspec.json.decode(each.value, type=Learned) for each in world.sink.on("interactions"))
    assert len(first.profile) == 4 * DIM and second.profile == b""
    await world.pipeline.profiles([world.profile("eve", age=31)])
    await world.pipeline.interactions([world.click("eve", "kiss")])
    assert msgspec.json.decode(world.sink.on("interactions")[-1].value, type=Learned).profile not in (
        b"",
        first.profile,
    )


async def test_a_click_on_an_answer_tells_once_how_far_down_it_was(world: World) -> None:
    def told() -> tuple[float, float]:
        names = ("anabranch_search_click_place_count", "anabranch_search_click_place_sum")
        return tuple(REGISTRY.get_sample_value(name) or 0.0 for name in names)  # type: ignore[return-value]

    count, places = told()
    found = world.click("ada", "alien", query_id="q1", position=2)
    await world.pipeline.interactions([found, world.click("ada", "star", position=9)])
    await world.pipeline.interactions([found])
    assert told() == (count + 1, places + 3)
