"""Moderators over HTTP: what waits, and what becomes of it, with a worker among fakes."""

import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from streams.client import Client, RequestRefused
from streams.events import Held, Upload, encode
from streams.ports import Incoming
from streams.web.access import Tokens
from tests.pipeline.test_moderation import listed
from tests.pipeline.test_pipeline import NOW
from tests.web.test_api import ADA, ADMIN, LINES, READER, WRITER, bearer
from tests.web.world import PICTURE, HttpWorld


@pytest.fixture
async def world() -> AsyncIterator[HttpWorld]:
    world = HttpWorld(moderated=True)
    await world.open()
    yield world
    await world.close()


async def hold(world: HttpWorld, *items: str, **fields: Any) -> None:
    """Upload what is held for its words, one after the other."""
    for item in items:
        world.worker.now += 60
        await world.upload(item, **{"title": f"a mild film, {item}"} | fields)


async def waiting(world: HttpWorld, asked: str = "") -> list[dict[str, Any]]:
    status, answer = await world.get(f"/moderation{asked}")
    assert status == 200
    return list(answer["uploads"])


def decision(upload: dict[str, Any], made: str, **fields: str) -> dict[str, str]:
    return {"decision": made, "fingerprint": upload["fingerprint"]} | fields


async def test_what_waits_is_shown_with_its_scores_and_why_the_longest_first(world: HttpWorld) -> None:
    world.media.files["file:///p/mild"] = PICTURE + b"mild"
    await hold(world, "old", text="all its words", attributes=["genre=Drama"])
    await hold(world, "new", title="a film", media={"image": "file:///p/mild", "audio": "file:///p/gone"})
    old, new = await waiting(world)
    assert (old["item_id"], old["text"], old["attributes"]) == ("old", "all its words", ["genre=Drama"])
    assert (old["scores"], old["why"], old["media"]) == ({"text": 0.7}, ["text"], [])
    assert (new["scores"], new["why"], new["media"]) == ({"text": 0.1, "image": 0.7}, ["image"], ["image"])
    assert new["held_at"] - old["held_at"] == 60
    assert REGISTRY.get_sample_value("anabranch_uploads_held") == 2


async def test_what_waits_is_given_page_by_page_in_either_order(world: HttpWorld) -> None:
    await hold(world, "a", "b", "c")
    assert [each["item_id"] for each in await waiting(world, "?limit=2")] == ["a", "b"]
    assert [each["item_id"] for each in await waiting(world, "?limit=2&offset=2")] == ["c"]
    assert [each["item_id"] for each in await waiting(world, "?limit=2&order=newest")] == ["c", "b"]
    assert (await world.get("/moderation?limit=1"))[1]["total"] == 3
    for wrong in ("order=worst", "limit=0", "offset=-1", "page=2"):
        assert (await world.get(f"/moderation?{wrong}"))[0] == 400


async def test_what_is_allowed_is_listed_and_waits_no_more(world: HttpWorld) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    before = REGISTRY.get_sample_value("anabranch_uploads_decided_total", {"decision": "allow"}) or 0
    status, accepted = await world.post("/moderation/odd", decision(odd, "allow", note="it is a title"))
    assert (status, accepted["topic"]) == (202, "events.upload")
    assert await waiting(world) == [], "already before a worker has taken it up"
    [sent] = world.sink.messages
    upload = msgspec.json.decode(sent.value, type=Upload)
    assert (sent.key, upload.event_id, upload.note) == (b"odd", accepted["event_id"], "it is a title")
    await world.deliver()
    assert listed(world.worker, "odd") and await waiting(world) == []
    assert REGISTRY.get_sample_value("anabranch_uploads_decided_total", {"decision": "allow"}) == before + 1


async def test_what_is_refused_is_withdrawn_and_its_item_says_why(world: HttpWorld) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    assert (await world.post("/moderation/odd", decision(odd, "refuse", note="not for us")))[0] == 202
    await world.deliver()
    _, item = await world.get("/items/odd")
    assert (item["withdrawn"], item["refused"]) == (True, {"moderation": "refuse: not for us"})
    assert await waiting(world) == [] and not listed(world.worker, "odd")


async def test_of_two_who_decide_the_second_is_told_before_and_after_a_worker_has_taken_it_up(world: HttpWorld) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    _, first = await world.post("/moderation/odd", decision(odd, "refuse"))
    for _ in range(2):
        status, problem = await world.post("/moderation/odd", decision(odd, "allow"))
        assert (status, problem["title"]) == (409, "Conflict") and "it was refused" in problem["detail"]
        again = await world.post("/moderation/odd", decision(odd, "refuse"))
        assert again == (202, first), "who asks again as an answer was lost has the same answer"
        await world.deliver()
    assert not listed(world.worker, "odd") and world.sink.messages == []


async def test_what_somebody_decided_by_another_server_or_the_command_is_a_conflict(world: HttpWorld) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    await world.upload("odd", withdrawn=True)
    status, problem = await world.post("/moderation/odd", decision(odd, "allow"))
    assert status == 409 and "decided elsewhere" in problem["detail"]


async def test_a_decision_is_on_what_was_looked_at_and_nothing_that_was_uploaded_since(world: HttpWorld) -> None:
    await hold(world, "odd")
    [seen] = await waiting(world)
    await hold(world, "odd", text="and something else")
    status, problem = await world.post("/moderation/odd", decision(seen, "allow"))
    assert status == 409 and "uploaded anew" in problem["detail"] and world.sink.messages == []
    [now] = await waiting(world)
    assert now["fingerprint"] != seen["fingerprint"]
    assert (await world.post("/moderation/odd", decision(now, "allow")))[0] == 202


async def test_a_picture_that_was_swapped_is_neither_shown_nor_allowed_by_mistake(world: HttpWorld) -> None:
    world.media.files["file:///p/odd"] = PICTURE + b"mild"
    await hold(world, "odd", title="a film", media={"image": "file:///p/odd"})
    [odd] = await waiting(world)
    async with world.client.get("/moderation/odd/media/image") as answer:
        assert (answer.content_type, await answer.read()) == ("image/png", PICTURE + b"mild")
        assert answer.headers["Cache-Control"] == "no-store"
    world.media.files["file:///p/odd"] = PICTURE + b"mild, but another"
    status, problem = await world.get("/moderation/odd/media/image")
    assert status == 404 and "no longer the file" in problem["detail"]
    await world.post("/moderation/odd", decision(odd, "allow"))
    await world.deliver()
    [again] = await waiting(world)
    assert again["fingerprint"] != odd["fingerprint"] and not listed(world.worker, "odd")
    assert (await world.post("/moderation/odd", decision(again, "allow")))[0] == 202
    await world.deliver()
    assert listed(world.worker, "odd")


async def test_what_is_held_again_can_be_decided_on_again(world: HttpWorld) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    await world.post("/moderation/odd", decision(odd, "refuse"))
    await world.deliver()
    await hold(world, "odd")
    [odd] = await waiting(world)
    assert (await world.post("/moderation/odd", decision(odd, "allow")))[0] == 202


@pytest.mark.parametrize("path", ["/moderation/alien", "/moderation/nothing", "/moderation/odd/media/audio"])
async def test_what_is_not_held_is_said_to_be_absent(world: HttpWorld, path: str) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    ask = world.get(path) if "media" in path else world.post(path, decision(odd, "allow"))
    assert (await ask)[0] == 404


@pytest.mark.parametrize(
    "body", [{}, {"decision": "perhaps"}, {"fingerprint": "x"}, {"note": "n" * 501}, {"why": "because"}, []]
)
async def test_what_is_no_decision_is_refused(world: HttpWorld, body: object) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    wrong = decision(odd, "allow") | body if isinstance(body, dict) and body else body
    assert (await world.post("/moderation/odd", wrong))[0] == 422
    assert len(await waiting(world)) == 1


async def test_a_decision_that_kafka_does_not_have_is_none(world: HttpWorld) -> None:
    await hold(world, "odd")
    [odd] = await waiting(world)
    world.sink.down = True
    assert (await world.post("/moderation/odd", decision(odd, "allow")))[0] == 503
    assert len(await waiting(world)) == 1
    world.sink.down = False
    assert (await world.post("/moderation/odd", decision(odd, "refuse")))[0] == 202


@pytest.mark.parametrize(("token", "status"), [(ADMIN, 200), (READER, 403), (WRITER, 403), (ADA, 403), ("z" * 32, 401)])
async def test_moderators_are_those_who_administer(token: str, status: int) -> None:
    world = HttpWorld(Tokens.of(LINES), moderated=True)
    await world.open()
    try:
        world.media.files["file:///p/odd"] = PICTURE
        await hold(world, "odd", media={"image": "file:///p/odd"})
        assert (await world.get("/moderation", **bearer(token)))[0] == status
        async with world.client.get("/moderation/odd/media/image", headers=bearer(token)) as answer:
            assert answer.status == status
        [held] = (await world.desk.page("longest", 0, 1)).uploads
        body = {"decision": "allow", "fingerprint": held.fingerprint}
        posted, _ = await world.post("/moderation/odd", body, **bearer(token))
        assert posted == (202 if status == 200 else status)
        assert len(world.sink.messages) == (status == 200)
    finally:
        await world.close()


@pytest.mark.parametrize(("line", "name"), [(f"admin:mia {ADMIN}", "mia"), (f"admin {ADMIN}", "")])
async def test_who_decided_is_kept_with_when_and_why_and_shown_once_it_is_carried_out(line: str, name: str) -> None:
    world = HttpWorld(Tokens.of([line]), moderated=True)
    await world.open()
    try:
        await hold(world, "a", "b")
        _, shown = await world.get("/moderation", **bearer(ADMIN))
        assert shown["decided"] == []
        for upload, made in zip(shown["uploads"], ("allow", "refuse"), strict=True):
            await world.post(f"/moderation/{upload['item_id']}", decision(upload, made, note="so"), **bearer(ADMIN))
        for message in world.sink.messages:
            upload = msgspec.json.decode(message.value or b"", type=Upload)
            assert (upload.moderator, upload.decided_at, upload.note) == (name, NOW, "so")
        status, problem = await world.post("/moderation/a", decision(shown["uploads"][0], "refuse"), **bearer(ADMIN))
        assert status == 409 and problem["detail"].endswith(f"it was allowed{' by mia' if name else ''}")
        await world.deliver()
        _, shown = await world.get("/moderation", **bearer(ADMIN))
        assert {each["item_id"]: each["decision"] for each in shown["decided"]} == {"a": "allow", "b": "refuse"}
        assert {(each["moderator"], each["decided_at"], each["note"]) for each in shown["decided"]} == {
            (name, NOW, "so")
        }
    finally:
        await world.close()


async def test_who_sends_an_upload_names_no_moderator(world: HttpWorld) -> None:
    upload = {"event_id": "u", "ts": NOW, "item_id": "alien", "withdrawn": True}
    for forged in ({"moderator": "mia"}, {"decided_at": NOW}):
        assert (await world.post("/events/upload", upload | forged))[0] == 403
    assert (await world.post("/events/upload", upload))[0] == 202


def held(item: str, at: float, text: str = "") -> bytes:
    upload = Upload(event_id=f"u-{item}", ts=at, item_id=item, title=f"a mild film, {item}", text=text)
    return encode(Held(upload=upload, scores={"text": 0.7}, held_at=at))


async def test_however_much_waits_a_page_of_it_is_read_and_no_more(world: HttpWorld) -> None:
    for number in range(5_000):
        world.queue.append(held(f"i{number}", 1.0 + number))
        at = len(world.queue) - 1
        world.desk.take(Incoming("moderation.queue", 0, at, b"i%d" % number, world.queue[at], NOW))
    _, found = await world.get("/moderation?limit=3&offset=4000")
    assert ([each["item_id"] for each in found["uploads"]], found["total"]) == (["i4000", "i4001", "i4002"], 5_000)
    assert [each["item_id"] for each in await waiting(world, "?limit=2&order=newest")] == ["i4999", "i4998"]
    assert await waiting(world, "?offset=5000") == [] and await waiting(world, "?offset=9999&order=newest") == []
    assert world.looked_up == 5
    [first] = await waiting(world, "?limit=1")
    await world.post("/moderation/i0", decision(first, "allow"))
    assert [each["item_id"] for each in await waiting(world, "?limit=1")] == ["i1"]
    assert REGISTRY.get_sample_value("anabranch_uploads_held") == 4_999


def test_of_what_waits_little_is_in_memory_however_large_it_is(world: HttpWorld) -> None:
    count, words = 2_000, "w" * 20_000
    tracemalloc.start()
    for number in range(count):
        item = f"item-{number}"
        world.desk.take(Incoming("moderation.queue", 0, number, item.encode(), held(item, float(number), words), NOW))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000 * count


async def test_what_was_replaced_while_a_page_is_read_is_left_out_of_it(world: HttpWorld) -> None:
    await hold(world, "a", "b")
    [a, _] = await waiting(world)
    world.queue[next(at for at, value in enumerate(world.queue) if value and b'"a"' in value)] = None
    assert [each["item_id"] for each in await waiting(world)] == ["b"]
    assert (await world.post("/moderation/a", decision(a, "allow")))[0] == 409


async def test_while_kafka_is_away_nothing_can_be_shown_and_that_is_said(world: HttpWorld) -> None:
    await hold(world, "odd")
    world.is_away = True
    assert (await world.get("/moderation"))[0] == 503
    world.is_away = False
    assert len(await waiting(world)) == 1


async def test_where_uploads_are_not_looked_at_that_is_said() -> None:
    world = HttpWorld()
    await world.open()
    try:
        status, problem = await world.get("/moderation")
        assert status == 404 and "ANABRANCH_MODERATION__ENABLED" in problem["detail"]
    finally:
        await world.close()


async def test_the_client_shows_what_waits_and_sends_decisions(world: HttpWorld) -> None:
    world.media.files["file:///p/a"] = PICTURE
    await hold(world, "a", "b", media={"image": "file:///p/a"})
    async with Client(str(world.client.make_url("/"))) as client:
        found = await client.held(order="newest", limit=1)
        assert (found.uploads[0].item_id, found.total) == ("b", 2)
        assert await client.held_media("b", "image") == PICTURE
        assert (await client.allow(found.uploads[0], note="fine")).event_id.startswith("allowed-")
        [rest] = (await client.held()).uploads
        assert (await client.refuse(rest)).event_id.startswith("refused-")
        with pytest.raises(RequestRefused, match=r"409 .*it was refused"):
            await client.allow(rest)
