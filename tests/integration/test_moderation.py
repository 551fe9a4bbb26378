"""A moderator's commands, and a shop's rules, through real Kafka, Cassandra and Triton."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from deploy.local.worker import RunningWorker, running_worker
from streams.adapters.kafka import KafkaSink
from streams.adapters.lookup import Lookup
from streams.adapters.tail import Tail
from streams.asking import query
from streams.cli import app
from streams.client import Client
from streams.consumer import ask
from streams.events import QUEUE, Decided, Held, Profile, Upload, encode
from streams.moderating import operator
from streams.ports import Outgoing
from streams.producer import EventProducer
from streams.replay import ListWatcher
from streams.settings import Settings
from streams.web.answers import HeldUpload
from streams.web.moderation import Desk
from tests.conftest import MODERATORS_KEY
from tests.integration.running import TopicReader, until

pytestmark = pytest.mark.servers
RULES = """
rules:
  - name: the shop's own come first
    pin: 1
    items: [moderated-puppies, moderated-horror]
  - name: no horror for the young
    exclude: true
    with: {tag: [Horror]}
    audience: {age: {below: 16, or_unknown: true}}
"""
MAYBE = "The bitch of the hunter, and her seven puppies in the snow of the north"
FOUL = "fuck fuck you shit bitch"


@pytest.fixture(scope="module")
def worker(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(RULES)
    told = {
        "ANABRANCH_MODERATION__ENABLED": "true",
        "ANABRANCH_MODERATION__KEY": MODERATORS_KEY,
        "ANABRANCH_WORKER__RULES_FILE": str(rules),
    }
    with running_worker(servers, environment=told) as running:
        yield running


@pytest.fixture(autouse=True)
def moderator(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(servers.home))
    monkeypatch.setenv("ANABRANCH_MODERATION__KEY", MODERATORS_KEY)


def moderate(*arguments: str) -> str:
    run = CliRunner().invoke(app, ["moderate", *arguments], env={"COLUMNS": "200"})
    assert run.exit_code == 0, run.output
    return run.output


def held() -> str:
    """What `moderate list` says of what waits, without what was decided."""
    return moderate("list").partition("held, the longest first")[0]


def send(servers: Settings, *uploads: tuple[str, str, list[str]]) -> None:
    """Upload (name, title, attributes), and wait until workers have told of each."""
    announced = TopicReader(servers, "items.embedded")
    now = time.time()
    with EventProducer(servers.kafka.address) as producer:
        for name, title, attributes in uploads:
            item_id = f"moderated-{name}"
            producer.send(
                Upload(event_id=f"{item_id}-{now}", ts=now, item_id=item_id, title=title, attributes=attributes)
            )
    assert len(announced.read(len(uploads))) == len(uploads)
    announced.close()


def found(servers: Settings, words: str, user_id: str | None = None) -> set[str]:
    answer = ask(servers.kafka, query(words, {}, filters={"shop": ["moderated"]}, user_id=user_id))
    return {item.item_id for item in answer.items} if answer is not None else set()


def first_of_list(servers: Settings, user_id: str, **traits: int) -> str:
    with EventProducer(servers.kafka.address) as producer, ListWatcher(servers.kafka.address) as watcher:
        profile = Profile(event_id=f"{user_id}-{time.time()}", ts=time.time(), user_id=user_id, traits=traits)
        watcher.expect(profile)
        producer.send(profile)
        watcher.wait(patience=60)
        return str(watcher.report.users[user_id].items[0].item_id)


def test_what_is_held_waits_for_a_moderator_and_what_is_foul_for_nobody(
    servers: Settings, worker: RunningWorker
) -> None:
    shop = ["shop=moderated"]
    send(servers, ("kittens", "Kittens play", shop), ("puppies", MAYBE, shop), ("foul", FOUL, shop))
    until(lambda: "moderated-kittens" in found(servers, "kittens"))
    listed = held()
    assert "moderated-puppies" in listed and "text 0.50" in listed
    assert "moderated-foul" not in listed and "moderated-kittens" not in listed
    assert "moderated-puppies" not in found(servers, "puppies")
    moderate("allow", "moderated-puppies", "--by", "mia", "--note", "dogs")
    until(lambda: "moderated-puppies" in found(servers, "puppies"))
    told = moderate("list")
    assert "moderated-puppies" not in told.partition("held, the longest first")[0]
    [line] = [line for line in told.splitlines() if "moderated-puppies" in line]
    assert [cell.strip() for cell in line.split("│")[2:4]] == ["allow", "mia"] and "dogs" in line
    assert first_of_list(servers, "breeder", age=40) == "moderated-puppies", "and the rule pins it from now on"
    assert "moderated-foul" not in found(servers, FOUL)


def test_what_a_moderator_refuses_leaves_the_queue_and_is_never_found(servers: Settings, worker: RunningWorker) -> None:
    send(servers, ("hounds", f"{MAYBE}, again", ["shop=moderated"]))
    assert "moderated-hounds" in held()
    moderate("refuse", "moderated-hounds")
    until(lambda: "moderated-hounds" not in held())
    assert "moderated-hounds" not in found(servers, "hunter puppies again")


async def test_what_waits_is_told_and_decided_over_http_and_leaves_by_whatever_is_decided(
    servers: Settings, worker: RunningWorker, http: str
) -> None:
    names = ("spaniels", "beagles")
    async with Client(f"http://{http}") as client:

        async def waiting() -> dict[str, HeldUpload]:
            return {each.item_id.removeprefix("moderated-"): each for each in (await client.held(limit=100)).uploads}

        async def decided() -> dict[str, Decided]:
            told = (await client.held(limit=1)).decided
            return {each.item_id.removeprefix("moderated-"): each for each in told}

        async def eventually(there: set[str]) -> dict[str, HeldUpload]:
            async with asyncio.timeout(60):
                while set(told := await waiting()) & set(names) != there:  # noqa: ASYNC110 (other processes tell it)
                    await asyncio.sleep(0.1)
            return told

        send(servers, *((name, f"{MAYBE}, {name}", ["shop=moderated"]) for name in names))
        held = await eventually(set(names))
        assert held["spaniels"].why == ["text"]
        await client.allow(held["spaniels"])
        moderate("refuse", "moderated-beagles", "--note", "not for us")
        await eventually(set())
        until(lambda: "moderated-spaniels" in found(servers, "spaniels"))
        assert (await client.item("moderated-beagles")).refused == {"moderation": "refuse: not for us"}
        async with asyncio.timeout(60):
            while not set(names) <= (by := await decided()).keys():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert (by["spaniels"].moderator, by["spaniels"].decision) == ("", "allow"), "without tokens nobody has a name"
        assert (by["beagles"].moderator, by["beagles"].note) == (operator(), "not for us")


async def test_of_many_that_wait_any_page_is_read_from_kafka(servers: Settings) -> None:
    count, now = 3_000, time.time()
    ids = [f"waits-{number}" for number in range(count)]
    waiting = [
        Held(
            upload=Upload(event_id=item, ts=now, item_id=item, title=item, text="w" * 2_000),
            scores={"text": 0.5},
            held_at=now + number,
        )
        for number, item in enumerate(ids)
    ]
    sink, lookup = KafkaSink(servers.kafka), Lookup(servers.kafka, QUEUE)
    desk = Desk(b"a key of the moderators", {}, sink, lookup.read)
    tail = Tail(servers.kafka, QUEUE, desk.take, lambda *why: pytest.fail(str(why)), from_start=True)
    for each in (sink, lookup, tail):
        await each.start()
    following = asyncio.create_task(tail.run())

    async def until_waiting(total: int, first: str) -> None:
        async with asyncio.timeout(60):
            while (page := await desk.page("newest", 0, 1)).total < total or page.uploads[0].item_id != first:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    try:
        await sink.publish([Outgoing(QUEUE, each.upload.item_id.encode(), encode(each)) for each in waiting])
        await until_waiting(count, ids[-1])
        page = await desk.page("newest", 1_000, 100)
        assert [each.item_id for each in page.uploads] == ids[-1_001:-1_101:-1]
        await sink.publish([Outgoing(QUEUE, ids[-1].encode(), None)])
        await until_waiting(count - 1, ids[-2])
        assert await lookup.read([(0, 10**9)]) == [None], "what is not there is none"
        assert (await desk.page("newest", 0, 1)).uploads[0].text == "w" * 2_000, "and the next is read as before"
    finally:
        await sink.publish([Outgoing(QUEUE, item.encode(), None) for item in ids])
        following.cancel()
        for each in (tail, lookup, sink):
            await each.close()


def test_what_a_rule_keeps_from_the_young_is_in_neither_their_lists_nor_their_searches(
    servers: Settings, worker: RunningWorker
) -> None:
    send(servers, ("horror", "The house of dread", ["shop=moderated", "Horror"]))
    assert first_of_list(servers, "adult", age=40) in ("moderated-puppies", "moderated-horror")
    assert first_of_list(servers, "child", age=12) != "moderated-horror"
    until(lambda: "moderated-horror" in found(servers, "house of dread", "adult"))
    assert "moderated-horror" not in found(servers, "house of dread", "child")
    assert "moderated-horror" not in found(servers, "house of dread"), "whose age nobody knows"
