"""What is answered over HTTP, with the outside world in memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs
from prometheus_client import REGISTRY

from streams.advice import Advice
from streams.core.experiments.plan import read
from streams.core.rules import Rule, RuleBook, Span
from streams.core.search.settings import SearchSettings
from streams.events import EVENT_TYPES, Embedded
from streams.ports import Arms
from streams.web.access import Tokens, UnusableTokens, user_token
from tests.pipeline.test_advice import FakeScorer
from tests.pipeline.test_consent import says
from tests.pipeline.test_pipeline import FILMS, NOW
from tests.web.fuzzing import Caller
from tests.web.world import PICTURE, HttpWorld, next_list

READER, WRITER, ADMIN, KEY = (letter * 32 for letter in "rwak")
LINES = [f"lists {READER}", f"events {WRITER}", f"admin {ADMIN}", f"user-key {KEY}"]
FOREVER = 4e9
POST = "POST /events/click HTTP/1.1\r\nContent-Type: application/json\r\n"
ADA = user_token(KEY, "ada", FOREVER)


@pytest.fixture
async def world() -> AsyncIterator[HttpWorld]:
    world = HttpWorld()
    await world.open()
    yield world
    await world.close()


@pytest.fixture
async def guarded() -> AsyncIterator[HttpWorld]:
    world = HttpWorld(Tokens.of(LINES))
    await world.open()
    yield world
    await world.close()


def click(user: str = "ada", item: str = "alien", **fields: object) -> dict[str, object]:
    return {"event_id": "e-1", "user_id": user, "item_id": item, "ts": NOW - 1} | fields


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_the_span_that_an_event_comes_from_goes_with_it_and_nothing_else_does(world: HttpWorld) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for given in (parent, "anything", f"{parent}0"):
        status, _ = await world.post("/events/click", click(), traceparent=given)
        assert status == 202
    assert [each.headers for each in world.sink.messages] == [(("traceparent", parent.encode()),), (), ()]


async def test_a_list_is_the_one_that_the_worker_published_with_titles(world: HttpWorld) -> None:
    await world.click("ada", "alien")
    published = world.worker.lists()[-1]
    status, made = await world.get("/users/ada/recommendations")
    assert status == 200
    assert made["list_version"] == published.list_version == 1
    assert [(each["item_id"], each["reason"]) for each in made["items"]] == [
        (each.item_id, each.reason) for each in published.items
    ]
    assert made["items"][0]["title"] == "Aliens"
    assert made["modalities"] == published.modalities


async def test_an_item_says_because_of_what_it_is_there(world: HttpWorld) -> None:
    await world.click("ada", "alien")
    _, made = await world.get("/users/ada/recommendations")
    assert (made["items"][0]["because"], made["items"][0]["because_title"]) == ("alien", "Alien")


async def test_as_many_items_as_are_wanted_are_given(world: HttpWorld) -> None:
    _, made = await world.get("/users/ada/recommendations?k=2")
    assert len(made["items"]) == 2


async def test_somebody_who_is_not_known_yet_has_a_list(world: HttpWorld) -> None:
    status, made = await world.get("/users/newcomer/recommendations")
    assert (status, made["list_version"], len(made["items"])) == (200, 0, 6)


@pytest.mark.parametrize("query", ["k=0", "k=201", "k=many", "k=1.5", "limit=3"])
async def test_what_cannot_be_wanted_is_refused_by_name(world: HttpWorld, query: str) -> None:
    status, problem = await world.get(f"/users/ada/recommendations?{query}")
    assert status == 400 and query.partition("=")[0] in problem["detail"]


async def test_a_list_is_made_anew_once_its_user_has_changed(world: HttpWorld) -> None:
    await world.get("/users/ada/recommendations")
    await world.click("ada", "alien")
    _, made = await world.get("/users/ada/recommendations")
    assert made["list_version"] == 1
    assert "alien" not in [each["item_id"] for each in made["items"]]


@pytest.fixture
async def advised() -> AsyncIterator[tuple[HttpWorld, Advice, FakeScorer]]:
    """Version 1 of a shipped model wants `kiss` for everybody, and has earned its say."""
    scorer = FakeScorer({1: {"kiss": 5.0}})
    advice = Advice(scorer, least_weight=0.5)
    advice.arms = Arms(stable=1)
    advice.residual._standing(1).weight = 50.0
    world = HttpWorld(advice=advice)
    await world.open()
    await world.click("ada", "alien")
    yield world, advice, scorer
    await world.close()


async def first_of(world: HttpWorld, user: str) -> str:
    _, made = await world.get(f"/users/{user}/recommendations")
    return str(made["items"][0]["item_id"])


async def test_a_shipped_model_has_its_say_in_lists_and_is_asked_once_for_each(
    advised: tuple[HttpWorld, Advice, FakeScorer],
) -> None:
    world, _, scorer = advised
    assert [await first_of(world, "ada"), await first_of(world, "ada")] == ["kiss", "kiss"]
    assert len(scorer.asked) == 1


async def test_a_shipped_model_that_does_not_answer_costs_no_list(
    advised: tuple[HttpWorld, Advice, FakeScorer],
) -> None:
    world, _, scorer = advised
    scorer.fails = True
    assert await first_of(world, "ada") != "kiss"


async def test_a_shipped_model_is_judged_by_what_those_who_read_their_lists_then_click(
    advised: tuple[HttpWorld, Advice, FakeScorer],
) -> None:
    world, advice, _ = advised
    advice.residual._standing(1).weight = 0.1
    await first_of(world, "ada")
    await world.click("bob", "kiss")  # who has not read theirs
    assert advice.residual.figures()[1].choices == 0
    await world.click("ada", "kiss")
    assert advice.residual.figures()[1].choices == 1 and advice.residual.figures()[1].weight > 0.1


async def test_a_shipped_model_has_no_say_in_lists_of_those_who_allow_no_profiling(
    advised: tuple[HttpWorld, Advice, FakeScorer],
) -> None:
    world, _, scorer = advised
    await world.worker.pipeline.profiles([says(world.worker, "ada", profiling=False)])
    world.follow()
    assert await first_of(world, "ada") != "kiss"
    assert scorer.asked == []


async def test_while_cassandra_is_away_those_who_have_asked_before_get_what_they_had(world: HttpWorld) -> None:
    await world.click("ada", "alien")
    _, before = await world.get("/users/ada/recommendations")
    world.store.down = True
    world.reader.outdate("ada")
    assert await world.get("/users/ada/recommendations") == (200, before)
    async with world.client.get("/users/bob/recommendations") as answer:
        assert answer.status == 503 and answer.headers["Retry-After"]
        assert answer.content_type == "application/problem+json"


async def test_a_stream_begins_with_the_list_there_is_and_goes_on_with_each_refreshed_one(world: HttpWorld) -> None:
    async with world.client.get("/users/ada/recommendations/stream?k=3") as answer:
        assert answer.content_type == "text/event-stream"
        assert (await next_list(answer))[0] == "0"
        await world.click("bob", "love")
        await world.click("ada", "alien")
        version, made = await next_list(answer)
        assert (version, made["user_id"], len(made["items"])) == ("1", "ada", 3)


async def test_a_stream_that_is_taken_up_again_does_not_repeat_itself(world: HttpWorld) -> None:
    await world.click("ada", "alien")
    async with world.client.get("/users/ada/recommendations/stream", headers={"Last-Event-ID": "1"}) as answer:
        await answer.content.readuntil(b"\n\n")
        await world.click("ada", "star")
        assert (await next_list(answer))[0] == "2"


async def test_whoever_reads_slowly_gets_the_newest_list(world: HttpWorld) -> None:
    with world.feed.subscribe("ada") as lists:
        await world.click("ada", "alien", "star", "love")
        newest = await lists.next()
        assert newest is not None and newest.list_version == 3
        waiting = asyncio.create_task(lists.next())
        await asyncio.sleep(0)
        world.feed.close()
        assert await waiting is None
    assert len(world.feed) == 0


async def test_an_item_of_the_list_is_explained_and_what_it_would_be_without_each_click(world: HttpWorld) -> None:
    await world.click("ada", "alien", "love")
    _, made = await world.get("/users/ada/recommendations")
    first = made["items"][0]
    status, each = await world.get(f"/users/ada/explanations/{first['item_id']}")
    assert (status, each["place"], each["title"], each["list_version"]) == (200, 1, first.get("title", ""), 2)
    assert (
        each["score"] == pytest.approx(first["score"], abs=1e-5) == pytest.approx(sum(each["parts"].values()), abs=1e-5)
    )
    assert {touch["item_id"] for touch in each["past"]} == {"alien", "love"}
    assert f"without your click on {each['past'][0]['title']}" in each["sentence"]


async def test_an_item_is_explained_by_the_arm_that_its_user_is_in() -> None:
    arms = "{control: {}, crowd: {experts: [popular, trending]}}"
    world = HttpWorld(plan=read(f"layers: {{lists: {{crowd: {{arms: {arms}}}}}}}"))
    await world.open()
    try:
        for user in ("bob", "ada", "eve", "dan", "zoe"):
            await world.click(user, "alien", "love", "aliens" if user == "zoe" else "kiss")
        for user in ("bob", "ada", "eve", "dan"):
            _, made = await world.get(f"/users/{user}/recommendations")
            _, each = await world.get(f"/users/{user}/explanations/aliens")
            assert each["variants"] == made["variants"]
            told = set(each["parts"]) - {"passed over", "bias"}
            assert (told <= {"popular", "trending"}) == (made["variants"] == {"crowd": "crowd"})
            [listed] = [item for item in made["items"] if item["item_id"] == "aliens"]
            assert each["score"] == pytest.approx(listed["score"], abs=1e-5)
        assert world.reader._assigner.assign("ada").variants != world.reader._assigner.assign("eve").variants
    finally:
        await world.close()


@pytest.mark.parametrize("item", ["alien", "nothing"])
async def test_what_is_touched_or_unknown_is_not_explained(world: HttpWorld, item: str) -> None:
    await world.click("ada", "alien")
    status, problem = await world.get(f"/users/ada/explanations/{item}")
    assert status == 404 and item in problem["detail"]


async def test_somebody_elses_list_is_not_explained(guarded: HttpWorld) -> None:
    assert (await guarded.get("/users/ada/explanations/star", **bearer(ADA)))[0] == 200
    assert (await guarded.get("/users/bob/explanations/star", **bearer(ADA)))[0] == 403


async def test_an_item_is_shown_with_what_was_understood_of_it(world: HttpWorld) -> None:
    world.media.files |= {"file:///p/boat": PICTURE, "file:///p/horn": b"corrupt"}
    files = {"image": "file:///p/boat", "audio": "file:///p/horn", "speech": "data:,ahoy", "video": "file:///p/gone"}
    await world.upload("boat", title="A boat", media=files)
    status, item = await world.get("/items/boat")
    assert (status, item["title"], item["media"]) == (200, "A boat", ["image"])
    assert set(item["modalities"]) == {"text", "image", "speech"} and set(item["refused"]) == {"audio", "video"}


async def test_an_id_with_a_slash_in_it_is_one_id(world: HttpWorld) -> None:
    await world.upload("animals/birds/parrot", title="Parrot")
    assert (await world.get("/items/animals%2Fbirds%2Fparrot"))[1]["title"] == "Parrot"


@pytest.mark.parametrize("path", ["/items/nothing", "/items/nothing/similar", "/users/nobody", "/nowhere"])
async def test_what_is_not_there_is_said_to_be_absent(world: HttpWorld, path: str) -> None:
    status, problem = await world.get(path)
    assert (status, problem["status"], problem["title"]) == (404, 404, "Not Found")


async def test_who_mistypes_a_path_or_a_method_is_told_what_there_is(world: HttpWorld) -> None:
    assert "/user/ada; /openapi.json" in (await world.get("/user/ada"))[1]["detail"]
    assert (await world.get("/events/click"))[1]["detail"] == "GET is not allowed here: POST"


async def test_the_items_most_like_one_come_first_and_it_is_not_among_them(world: HttpWorld) -> None:
    await world.upload("alien-2", title="Alien", text=FILMS["alien"])
    _, similar = await world.get("/items/alien/similar?k=2")
    assert len(similar["items"]) == 2 and similar["items"][0]["item_id"] == "alien-2"
    assert similar["items"][0]["score"] == pytest.approx(1, abs=0.01)


async def test_a_file_is_shown_as_what_it_is(world: HttpWorld) -> None:
    world.media.files["file:///p/boat"] = PICTURE
    await world.upload("boat", title="A boat", media={"image": "file:///p/boat"})
    async with world.client.get("/items/boat/media/image") as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "image/png", PICTURE)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


YOUNG = Rule(name="young", exclude=True, with_={"tag": ["horror"]}, audience={"age": Span(below=16)})


async def of_ages(world: HttpWorld) -> None:
    """Bob is 12 and Ada 36, and horror is not for the young."""
    for name in ("alien", "aliens"):
        await world.upload(name, title=name, text=FILMS[name], attributes=["horror"])
    recommender = world.worker.replica.recommender
    recommender.rules = RuleBook([YOUNG], recommender.catalogue)
    await world.worker.pipeline.profiles([world.worker.profile("bob", age=12), world.worker.profile("ada", age=36)])
    world.follow()


def ids(answer: dict[str, list[dict[str, str]]]) -> set[str]:
    return {each["item_id"] for each in answer["items"]}


async def test_what_rules_keep_from_a_user_they_find_neither_in_lists_nor_by_searches_nor_as_similar(
    world: HttpWorld,
) -> None:
    await of_ages(world)
    horror = {"alien", "aliens"}
    for path in (
        "/users/{}/recommendations",
        "/search?q=space+horror&user_id={}",
        "/items/star/similar?k=3&user_id={}",
    ):
        _, grown = await world.get(path.format("ada"))
        _, young = await world.get(path.format("bob"))
        assert horror <= ids(grown) and young["items"] and not horror & ids(young), path
    status, similar = await world.get("/items/star/similar?k=3&user_id=bob")
    assert status == 200 and len(similar["items"]) == 3, "others take their places"


async def test_who_asks_with_a_users_token_is_shown_what_that_user_may_be_shown_whether_they_say_so_or_not(
    guarded: HttpWorld,
) -> None:
    await of_ages(guarded)
    mine = bearer(user_token(KEY, "bob", FOREVER))
    for path in ("/search?q=space+horror", "/items/star/similar?k=3"):
        assert "alien" in ids((await guarded.get(path, **bearer(ADA)))[1])
        assert "alien" not in ids((await guarded.get(path, **mine))[1])
    assert (await guarded.get("/items/star/similar?user_id=ada", **mine))[0] == 403


async def test_an_item_that_is_withdrawn_leaves_a_list_that_was_just_given_and_another_takes_its_place(
    world: HttpWorld,
) -> None:
    await world.click("ada", "alien")
    _, before = await world.get("/users/ada/recommendations?k=3")
    assert before["items"][0]["item_id"] == "aliens"
    await world.upload("aliens", withdrawn=True)
    world.store.down = True
    _, after = await world.get("/users/ada/recommendations?k=3")
    assert "aliens" not in ids(after) and len(after["items"]) == 3


async def test_a_list_of_before_an_item_was_withdrawn_is_streamed_without_it(world: HttpWorld) -> None:
    async with world.client.get("/users/ada/recommendations/stream") as answer:
        await next_list(answer)
        world.worker.sink.loops = True
        await world.worker.pipeline.interactions([world.worker.click("ada", "alien")])
        await world.worker.pipeline.uploads([world.worker.upload("aliens", withdrawn=True)])
        world.follow()
        _, streamed = await next_list(answer)
        assert streamed["list_version"] == 1 and "aliens" not in ids(streamed)


async def test_of_an_item_that_is_withheld_nothing_is_shown_but_why(world: HttpWorld) -> None:
    why = {"moderation": "hold: text 0.70"}
    world.media.files["file:///p/boat"] = PICTURE
    await world.upload("boat", title="A boat", media={"image": "file:///p/boat"}, attributes=["rude"])
    withheld = structs.replace(world.store.items["boat"], at=NOW, withdrawn=True, refused=why)
    world.shelf.put(withheld)
    _, item = await world.get("/items/boat")
    assert (item["title"], item["attributes"], item["media"], item["refused"]) == ("", [], [], why)
    assert (await world.get("/items/boat/media/image"))[0] == 404


async def kept_back(world: HttpWorld, item: str, why: str) -> str:
    """What is said in place of an item's picture, which is counted."""
    before = REGISTRY.get_sample_value("anabranch_http_files_kept_back_total", {"why": why}) or 0
    status, problem = await world.get(f"/items/{item}/media/image")
    assert status == 404
    assert REGISTRY.get_sample_value("anabranch_http_files_kept_back_total", {"why": why}) == before + 1
    return str(problem["detail"])


async def test_a_file_that_was_replaced_since_it_was_uploaded_is_not_shown(world: HttpWorld) -> None:
    world.media.files["file:///p/boat"] = PICTURE
    await world.upload("boat", title="A boat", media={"image": "file:///p/boat"})
    world.media.files["file:///p/boat"] = PICTURE + b"of something else"
    assert "no longer the file" in await kept_back(world, "boat", "changed")
    await world.upload("boat", title="A boat", media={"image": "file:///p/boat"})
    async with world.client.get("/items/boat/media/image") as answer:
        assert await answer.read() == PICTURE + b"of something else"


async def test_a_file_that_came_only_after_the_upload_is_not_shown(world: HttpWorld) -> None:
    await world.upload("boat", title="A boat", media={"image": "file:///p/boat"})
    world.media.files["file:///p/boat"] = PICTURE
    assert (await world.get("/items/boat"))[1]["media"] == []
    assert (await world.get("/items/boat/media/image"))[0] == 404


@pytest.mark.parametrize("moderated", [True, False])
async def test_where_uploads_are_moderated_a_file_of_which_nobody_knows_that_it_was_is_not_shown(
    moderated: bool,
) -> None:
    world = HttpWorld(moderated=moderated)
    await world.open()
    try:
        world.media.files["file:///p/boat"] = PICTURE
        media = {"image": "file:///p/boat", "audio": "file:///p/boat"}
        world.shelf.put(Embedded(item_id="old", at=NOW, media=media, refused={"audio": "HttpRefused"}))
        assert (await world.get("/items/old"))[1]["media"] == ["image"]
        if moderated:
            assert "upload the item again" in await kept_back(world, "old", "unchecked")
        else:
            async with world.client.get("/items/old/media/image") as answer:
                assert await answer.read() == PICTURE
    finally:
        await world.close()


async def test_a_file_that_browsers_could_run_or_that_is_away_is_not_shown(world: HttpWorld) -> None:
    world.media.files["file:///p/page"] = b"<html><script>alert(1)</script>"
    await world.upload("trap", title="A trap", media={"image": "file:///p/page", "audio": "file:///p/gone"})
    assert (await world.get("/items/trap/media/image"))[0] == 404
    status, problem = await world.get("/items/trap/media/audio")
    assert status == 404 and "secret" not in problem["detail"]
    assert (await world.get("/items/trap/media/text"))[0] == 404


async def test_a_user_is_shown_with_taste_and_history_the_latest_first(world: HttpWorld) -> None:
    await world.click("ada", "alien", "star")
    await world.worker.pipeline.profiles([world.worker.profile("ada", age=36)])
    world.follow()
    _, user = await world.get("/users/ada")
    assert [each["title"] for each in user["history"]] == ["Star Wars", "Alien"]
    assert user["traits"] == '{"age":36}' and user["version"] == 3
    [text] = user["taste"]
    assert (text["modality"], text["weight"]) == ("text", 1.0)
    assert {each["item_id"] for each in text["typical"]} == {"alien", "star"}
    assert 1.5 < text["evidence"] <= 2


async def test_items_are_found_by_words(world: HttpWorld) -> None:
    status, found = await world.get("/search?q=space+monster&limit=2")
    assert status == 200
    assert (found["items"][0]["item_id"], found["items"][0]["title"], len(found["items"])) == ("alien", "Alien", 2)
    _, narrowed = await world.post("/search", {"text": "romance", "filters": {"has": ["text"]}, "explain": True})
    assert {item["item_id"] for item in narrowed["items"][:3]} == {"love", "amelie", "kiss"}


async def test_what_a_query_may_say_can_be_said_after_the_question_mark(world: HttpWorld) -> None:
    await world.upload("heat", title="Heat", text="space heist", attributes=["genre=Crime"])
    await world.upload("dune", title="Dune", text="space desert", attributes=["genre=Epic", "adult"])
    await world.click("ada", "love")
    world.search._unsafe = frozenset({"tag=adult"})

    async def ids(asked: str) -> list[str]:
        return [item["item_id"] for item in (await world.get(f"/search?q=space&{asked}"))[1]["items"]]

    assert await ids("filter=genre%3DCrime") == ["heat"]
    assert set(await ids("filter=genre%3DCrime&filter=genre%3DEpic&safe=false")) == {"heat", "dune"}
    assert await ids("filter=genre%3DCrime&filter=has%3Dimage") == []
    assert "dune" not in await ids("limit=50") and "dune" in await ids("limit=50&safe=false")
    _, explained = await world.get("/search?q=space&user_id=ada&explain=true")
    assert any("liking" in item["places"] for item in explained["items"]) and explained["user_id"] == "ada"
    assert explained["weights"]["liking"] == SearchSettings().liking
    _, impersonal = await world.get("/search?q=space&user_id=ada&explain=true&personal=false")
    assert not any("liking" in item["places"] for item in impersonal["items"])


@pytest.mark.parametrize("asked", ["filter=genre", "filter=%3DCrime", "safe=perhaps", "limit=0", "words=x"])
async def test_what_cannot_be_said_after_the_question_mark_is_refused(world: HttpWorld, asked: str) -> None:
    assert (await world.get(f"/search?q=space&{asked}"))[0] == 400


@pytest.mark.parametrize("body", [{"text": 7}, {"limit": 1000}, {"words": "x"}, [], {"media": {"smell": "data:,x"}}])
async def test_what_cannot_be_looked_for_is_refused(world: HttpWorld, body: object) -> None:
    assert (await world.post("/search", body))[0] == 422


async def test_a_user_searches_with_their_own_taste_and_no_others(guarded: HttpWorld) -> None:
    assert (await guarded.get("/search?q=space&user_id=ada", **bearer(ADA)))[0] == 200
    assert (await guarded.get("/search?q=space", **bearer(ADA)))[0] == 200
    assert (await guarded.get("/search?q=space&user_id=bob", **bearer(ADA)))[0] == 403
    assert (await guarded.get("/search?q=space&user_id=bob", **bearer(READER)))[0] == 200


@pytest.mark.parametrize("topic", EVENT_TYPES)
async def test_a_good_event_goes_to_its_topic_as_it_came_under_its_key(world: HttpWorld, topic: str) -> None:
    event = {"traits": {"age": 36}, "title": "Alien"} | click()
    status, accepted = await world.post(f"/events/{topic.removeprefix('events.')}", event)
    assert (status, accepted) == (202, {"event_id": "e-1", "topic": topic})
    [message] = world.sink.messages
    assert message.topic == topic
    assert message.key == {"events.upload": b"alien", "events.query": b"e-1"}.get(topic, b"ada")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (click(ts=NOW + 1000), "future"),
        (click(item=7), "wrong_type"),  # type: ignore[arg-type]
        ({"event_id": "e", "ts": NOW}, "missing_field"),
        (click(dwell_s=-1), "out_of_range"),
        ([], "not_an_object"),
    ],
)
async def test_a_bad_event_is_refused_at_once_with_its_reason(world: HttpWorld, event: object, reason: str) -> None:
    status, problem = await world.post("/events/click", event)
    assert (status, problem["reason"]) == (422, reason)
    assert not world.sink.messages


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("Authorization: Bearer \xff", b"", 401),
        (f"Authorization: Bearer {WRITER}\r\nContent-Encoding: gzip", b"{}", 400),
        (f"Authorization: Bearer {WRITER}\r\nTransfer-Encoding: chunked", b"zz\r\n", 400),
        (f"Authorization: Bearer {WRITER}\r\nExpect: \xff", b"{}", 417),
    ],
)
async def test_bytes_that_are_not_what_their_headers_say_are_no_fault_of_ours(
    guarded: HttpWorld, headers: str, body: bytes, status: int
) -> None:
    length = "" if "chunked" in headers else f"\r\nContent-Length: {len(body)}"
    head = f"{POST}Host: localhost\r\n{headers}{length}\r\n\r\n"
    caller = Caller(guarded.client.port or 0)
    assert (await caller.ask(head.encode("latin-1") + body, well_formed=False))[0] == status


@pytest.mark.parametrize("asked", ["GET /nowhere", "PUT /events/click", "OPTIONS *"])
async def test_what_is_expected_where_there_is_no_route_is_no_fault_of_ours(world: HttpWorld, asked: str) -> None:
    raw = f"{asked} HTTP/1.1\r\nHost: localhost\r\nExpect: \xff\r\n\r\n".encode("latin-1")
    assert (await Caller(world.client.port or 0).ask(raw, well_formed=False))[0] == 417


async def test_an_event_is_json_and_not_endless(world: HttpWorld) -> None:
    async with world.client.post("/events/click", data=b"{}") as answer:
        assert answer.status == 415  # so that no form on a stranger's page can send one
    large = {"Content-Type": "application/json"}
    async with world.client.post("/events/click", data=b" " * (1024 * 1024 + 1), headers=large) as answer:
        assert answer.status == 413


async def test_while_kafka_is_away_an_event_is_not_accepted(world: HttpWorld) -> None:
    world.sink.down = True
    assert (await world.post("/events/click", click()))[0] == 503


async def test_the_latest_lists_are_told_the_newest_first(world: HttpWorld) -> None:
    await world.click("ada", "alien")
    await world.click("bob", "love")
    _, activity = await world.get("/activity")
    assert [(each["user_id"], each["events"]) for each in activity["refreshed"]] == [("bob", 1), ("ada", 1)]
    assert activity["refreshed"][0]["latency_ms"] == 10.0


async def test_without_tokens_only_this_machine_is_answered_by_its_name(world: HttpWorld) -> None:
    assert (await world.get("/items/alien", Host="rebound.example"))[0] == 403
    assert (await world.get("/items/alien", Origin="https://elsewhere.example"))[0] == 403
    assert (await world.get("/items/alien", Host="localhost:8020"))[0] == 200


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/users/ada/recommendations", READER, 200),
        ("/users/ada/recommendations", ADMIN, 200),
        ("/users/ada/recommendations", ADA, 200),
        ("/users/bob/recommendations", ADA, 403),
        ("/users/ada/recommendations", WRITER, 403),
        ("/users/ada", READER, 403),
        ("/users/ada", ADMIN, 200),
        ("/users/ada", ADA, 200),
        ("/items/alien", ADA, 200),
        ("/items/alien", READER, 200),
        ("/flow", ADA, 403),
        ("/activity", READER, 403),
        ("/activity", ADMIN, 200),
        ("/items/alien", user_token(KEY, "ada", NOW), 401),  # it has ended
        ("/items/alien", user_token("x" * 32, "ada", FOREVER), 401),
        ("/items/alien", "", 401),
        ("/items/alien", "é" * 32, 401),
    ],
)
async def test_a_token_opens_what_it_is_for(guarded: HttpWorld, path: str, token: str, status: int) -> None:
    await guarded.click("ada", "alien")
    assert (await guarded.get(path, **bearer(token)))[0] == status


async def test_who_has_no_token_sees_health_and_the_page_and_nothing_of_people(guarded: HttpWorld) -> None:
    for endpoint in guarded.api.endpoints():
        path = endpoint.path.format(user_id="ada", item_id="alien", modality="image")
        async with guarded.client.request(endpoint.method, path) as answer:
            assert answer.status == 401, path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/page.js", "/page.css", "/experiments.html"):
        async with guarded.client.get(path) as answer:
            assert answer.status == 200, path


async def test_a_user_sends_events_of_their_own_and_no_others(guarded: HttpWorld) -> None:
    assert (await guarded.post("/events/click", click("ada"), **bearer(ADA)))[0] == 202
    assert (await guarded.post("/events/click", click("bob"), **bearer(ADA)))[0] == 403
    assert (await guarded.post("/events/upload", click("ada", title="x"), **bearer(ADA)))[0] == 403
    assert (await guarded.post("/events/click", click("bob"), **bearer(WRITER)))[0] == 202
    assert (await guarded.post("/events/click", click("bob"), **bearer(READER)))[0] == 403


def test_a_token_signed_in_another_way_is_not_believed() -> None:
    import jwt

    unsigned = jwt.encode({"sub": "ada", "exp": FOREVER}, "", algorithm="none")
    endless = jwt.encode({"sub": "ada"}, KEY, algorithm="HS256")
    for token in (unsigned, endless, "a.b.c"):
        with pytest.raises(Exception, match="not known"):
            Tokens.of(LINES).identify(f"Bearer {token}")


def test_a_token_may_have_a_name_and_several_roles_under_it() -> None:
    tokens = Tokens.of([f"lists:mia {READER}", f"events:mia {READER}", f"admin {ADMIN}", f"admin:mia {WRITER}"])
    mia, boss = tokens.identify(f"Bearer {READER}"), tokens.identify(f"Bearer {ADMIN}")
    assert (mia.name, mia.roles, boss.name) == ("mia", {"lists", "events"}, "")
    for other in (
        f"events:noa {READER}",
        f"events {READER}",
        f"lists: {WRITER}",
        f"user-key:mia {KEY}",
        "lists:\x07 " + KEY,
    ):
        with pytest.raises(UnusableTokens, match="line 2"):
            Tokens.of([f"lists:mia {READER}", other])


@pytest.mark.parametrize("line", ["lists short", "boss " + "b" * 32, "", "user-key " + "k" * 32, "lists"])
def test_a_token_file_that_cannot_be_used_is_named_without_what_is_in_it(line: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n{line}\n")
    with pytest.raises(UnusableTokens, match=str(file)) as raised:
        Tokens.read(file)
    assert "b" * 32 not in str(raised.value) and "short" not in str(raised.value)


async def test_nothing_is_told_of_who_was_forgotten(world: HttpWorld) -> None:
    await world.click("ada", "alien")
    assert (await world.get("/users/ada"))[0] == 200
    await world.worker.pipeline.forgets([world.worker.forget("ada")])
    world.follow()
    assert (await world.get("/users/ada"))[0] == 404
    _, made = await world.get("/activity")
    assert "ada" not in {each["user_id"] for each in made["refreshed"]}
