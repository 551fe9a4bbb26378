"""Uploads are looked at before they are listed."""

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from streams.adapters.media import MediaReader
from streams.core.moderation import Limits, seal
from streams.events import Decided, Embedded, Held, Upload, encode
from streams.pipeline.moderation import Moderation
from streams.ports import Incoming
from tests.fakes import FakeModerator
from tests.pipeline.test_pipeline import NOW, World

KEY = b"a key of the moderators"


@pytest.fixture
async def world() -> World:
    world = World()
    limits = dict.fromkeys(("text", "image", "video"), Limits(0.5, 0.9))
    world.pipeline.moderation = Moderation(FakeModerator(), limits, KEY)
    await world.open_cinema()
    return world


def listed(world: World, item: str) -> bool:
    catalogue = world.replica.recommender.catalogue
    slot = catalogue.slot(item)
    return slot >= 0 and catalogue.listed(slot)


def queue(world: World) -> dict[str, Held]:
    """What waits, as a compacted topic would have it."""
    waiting: dict[str, Held] = {}
    for message in world.sink.on("moderation.queue"):
        assert message.key is not None
        waiting.pop(message.key.decode(), None)
        if message.value is not None:
            waiting[message.key.decode()] = msgspec.json.decode(message.value, type=Held)
    return waiting


def again(world: World, held: Held, **changes: object) -> Incoming:
    """The upload that waits, as a moderator sends it."""
    upload = replace(held.upload, event_id=f"again-{world.sent}", **changes)
    return world.message("events.upload", upload.item_id, msgspec.to_builtins(upload))


async def test_what_is_harmless_is_listed_and_waits_for_nobody(world: World) -> None:
    assert listed(world, "alien") and queue(world) == {}


async def test_what_may_be_harmful_waits_with_its_scores_and_is_in_no_list(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    assert not listed(world, "odd") and world.store.items["odd"].withdrawn
    held = queue(world)["odd"]
    assert (held.upload.title, held.scores, held.held_at) == ("a mild film", {"text": 0.7}, NOW)
    assert world.store.items["odd"].refused["moderation"] == "hold: text 0.70"
    await world.pipeline.interactions([world.click("ada", "alien")])
    assert "odd" not in [each.item_id for each in world.lists()[-1].items]


async def test_what_is_harmful_is_refused_and_waits_for_nobody(world: World) -> None:
    await world.pipeline.uploads([world.upload("bad", title="a vile film")])
    assert not listed(world, "bad") and queue(world) == {}
    assert world.store.items["bad"].refused["moderation"].startswith("refuse")


async def test_an_item_that_was_listed_leaves_the_lists_once_it_turns_harmful(world: World) -> None:
    await world.pipeline.uploads([world.upload("alien", title="now vile")])
    assert not listed(world, "alien")


async def test_a_picture_is_looked_at_too(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a film", media={"image": "data:,mild"})])
    assert queue(world)["odd"].scores == {"text": 0.1, "image": 0.7}


async def test_a_film_is_looked_at_too_and_a_sound_is_not(world: World) -> None:
    media = {"video": "data:,vile", "audio": "data:,vile"}
    await world.pipeline.uploads([world.upload("odd", title="a film", media=media)])
    assert not listed(world, "odd")
    assert world.store.items["odd"].refused["moderation"] == "refuse: text 0.10, video 1.00"


async def test_what_a_moderator_allows_is_listed_and_waits_no_more(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    held = queue(world)["odd"]
    await world.pipeline.uploads([again(world, held, allowed=seal(KEY, held.upload.content(held.digests)))])
    assert listed(world, "odd") and queue(world) == {}
    assert "moderation" not in world.store.items["odd"].refused


@pytest.mark.parametrize("change", [{"title": "another mild film"}, {"allowed": seal(b"no key", b"")}])
async def test_a_seal_is_of_no_use_for_other_content_or_from_others(world: World, change: dict[str, str]) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    held = queue(world)["odd"]
    forged = {"allowed": seal(KEY, held.upload.content(held.digests))} | change
    await world.pipeline.uploads([again(world, held, **forged)])
    assert not listed(world, "odd") and "odd" in queue(world)


async def test_a_seal_is_of_no_use_once_a_file_is_another_though_its_address_is_the_same(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "odd.png"
    file.write_bytes(b"mild")
    world.pipeline.media = MediaReader(tmp_path)
    await world.pipeline.uploads([world.upload("odd", title="a film", media={"image": file.as_uri()})])
    held = queue(world)["odd"]
    assert held.digests == {"image": sha256(b"mild").hexdigest()}
    sealed = seal(KEY, held.upload.content(held.digests))
    file.write_bytes(b"vile")
    await world.pipeline.uploads([again(world, held, allowed=sealed)])
    assert (
        not listed(world, "odd") and world.store.items["odd"].refused["moderation"] == "refuse: text 0.10, image 1.00"
    )
    file.write_bytes(b"mild")
    await world.pipeline.uploads([again(world, held, allowed=sealed)])
    assert listed(world, "odd") and world.store.items["odd"].digests == held.digests


async def test_a_picture_that_cannot_be_had_is_no_part_of_the_item(world: World, tmp_path: Path) -> None:
    world.pipeline.media = MediaReader(tmp_path)
    gone = (tmp_path / "gone.png").as_uri()
    await world.pipeline.uploads([world.upload("odd", title="a film", media={"image": gone, "audio": "data:,corrupt"})])
    assert listed(world, "odd")
    assert (world.store.items["odd"].media, world.store.items["odd"].digests) == ({}, {})


async def test_what_a_moderator_refuses_waits_no_more(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    refused = Upload(event_id="r", ts=queue(world)["odd"].upload.ts, item_id="odd", withdrawn=True)
    await world.pipeline.uploads([world.message("events.upload", "odd", msgspec.to_builtins(refused))])
    assert not listed(world, "odd") and queue(world) == {}


def decisions(world: World) -> list[Decided]:
    return [msgspec.json.decode(each.value or b"", type=Decided) for each in world.sink.on("moderation.decisions")]


async def test_what_is_decided_is_told_with_who_when_and_why(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    held = queue(world)["odd"]
    sealed = seal(KEY, held.upload.content(held.digests))
    allowed = again(world, held, allowed=sealed, moderator="mia", decided_at=NOW - 5, note="a title")
    await world.pipeline.uploads([allowed])
    gone = {"item_id": "odd", "event_id": "gone", "ts": held.upload.ts, "withdrawn": True}
    refused = gone | {"moderator": "noa", "decided_at": NOW - 1}
    await world.pipeline.uploads([world.message("events.upload", "odd", refused)])
    assert [(each.decision, each.moderator, each.decided_at, each.note) for each in decisions(world)] == [
        ("allow", "mia", NOW - 5, "a title"),
        ("refuse", "noa", NOW - 1, ""),
    ]


async def test_who_decided_by_an_older_program_is_unknown_and_when_is_when_it_was_carried_out(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    held = queue(world)["odd"]
    await world.pipeline.uploads([again(world, held, allowed=seal(KEY, held.upload.content(held.digests)))])
    [told] = decisions(world)
    assert (told.decision, told.moderator, told.decided_at) == ("allow", "", NOW)


async def test_what_its_producer_withdraws_and_what_a_false_seal_is_on_nobody_has_decided(world: World) -> None:
    await world.pipeline.uploads([world.upload("alien", withdrawn=True)])
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    await world.pipeline.uploads([again(world, queue(world)["odd"], allowed=seal(b"no key", b""), moderator="mia")])
    assert decisions(world) == []


async def test_a_newer_upload_is_not_undone_by_an_old_one_that_is_allowed(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    held = queue(world)["odd"]
    await world.pipeline.uploads([world.upload("odd", title="a harmless film")])
    assert listed(world, "odd") and queue(world) == {}
    await world.pipeline.uploads([again(world, held, allowed=seal(KEY, held.upload.content(held.digests)))])
    assert world.store.items["odd"].title == "a harmless film"


async def test_without_moderation_nothing_is_looked_at_and_the_queue_hears_nothing() -> None:
    world = World()
    await world.open_cinema()
    await world.pipeline.uploads([world.upload("odd", title="a vile film")])
    assert listed(world, "odd") and world.sink.on("moderation.queue") == []


async def test_other_workers_hear_of_it_as_of_any_withdrawn_item(world: World) -> None:
    await world.pipeline.uploads([world.upload("odd", title="a mild film")])
    [told] = [each for each in world.sink.on("items.embedded") if each.key == b"odd"]
    assert told.value is not None and msgspec.json.decode(told.value, type=Embedded).withdrawn
    assert encode(world.store.items["odd"]) == told.value
