"""Events in and lists out over HTTP, through the real stream."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from deploy.local import servers as local_servers
from deploy.local import status
from deploy.local.worker import RunningWorker, running_worker
from streams.settings import Settings
from tests.web.world import next_list

pytestmark = pytest.mark.servers
FILMS = {
    "h-alien": "Alien: a monster in space",
    "h-aliens": "Aliens: more monsters in space",
    "h-love": "Love in Paris",
}


@pytest.fixture(scope="module")
def worker(servers: Settings) -> Iterator[RunningWorker]:
    with running_worker(servers) as running:
        yield running


@pytest.fixture
async def session(http: str, worker: RunningWorker) -> AsyncIterator[ClientSession]:
    async with ClientSession(f"http://{http}") as session:
        yield session


async def until_found(session: ClientSession, path: str, expected: Callable[[Any], bool] = lambda found: True) -> Any:
    """What is answered, once something is that is as expected."""
    async with asyncio.timeout(60):
        while True:
            async with session.get(path) as answer:
                if answer.status == 200 and expected(found := await answer.json()):
                    return found
            await asyncio.sleep(0.1)


async def send(session: ClientSession, kind: str, **fields: object) -> int:
    async with session.post(f"/events/{kind}", json={"event_id": str(uuid4()), "ts": time.time()} | fields) as answer:
        return answer.status


async def test_what_is_sent_comes_back_as_a_list_over_one_address(session: ClientSession) -> None:
    for item_id, title in FILMS.items():
        assert await send(session, "upload", item_id=item_id, title=title) == 202
        assert (await until_found(session, f"/items/{item_id}"))["modalities"] == ["text"]
    similar = await until_found(session, "/items/h-alien/similar?k=200")
    places = {item["item_id"]: at for at, item in enumerate(similar["items"])}
    assert places["h-aliens"] < places["h-love"]
    user = f"u-{uuid4()}"
    async with session.get(f"/users/{user}/recommendations/stream?k=200") as stream:
        assert (await next_list(stream))[0] == "0"
        assert await send(session, "click", user_id=user, item_id="h-alien") == 202
        version, refreshed = await next_list(stream)
    assert version == str(refreshed["list_version"]) != "0"
    assert "h-alien" not in [item["item_id"] for item in refreshed["items"]]
    made = await until_found(
        session, f"/users/{user}/recommendations", lambda made: made["list_version"] >= refreshed["list_version"]
    )
    assert {item["item_id"]: item["title"] for item in made["items"]}["h-aliens"] == FILMS["h-aliens"]
    known = await until_found(session, f"/users/{user}")
    assert [touch["item_id"] for touch in known["history"]] == ["h-alien"]
    assert [taste["modality"] for taste in known["taste"]] == ["text"]


async def test_an_item_just_uploaded_can_be_searched_for(session: ClientSession) -> None:
    assert await send(session, "upload", item_id="h-zebra", title="Zebras of the Okavango") == 202
    found = await until_found(session, "/search?q=okavango", lambda found: found["items"])
    assert found["items"][0]["item_id"] == "h-zebra"


async def test_while_cassandra_does_not_answer_those_who_have_asked_get_what_they_had(
    session: ClientSession, servers: Settings
) -> None:
    async with session.get("/users/stale/recommendations") as answer:
        before = await answer.json()
    cassandra = next(each for each in local_servers.servers(servers) if each.name == "cassandra").process.find()
    assert cassandra is not None
    cassandra.suspend()
    try:
        async with session.get("/users/never-asked/recommendations") as answer:
            assert answer.status == 503 and answer.headers["Retry-After"]
        async with session.get("/users/stale/recommendations") as answer:
            assert (answer.status, await answer.json()) == (200, before)
        async with session.get("/readyz") as answer:
            assert answer.status == 503 and set((await answer.json())["wrong"]) == {"cassandra"}
        async with session.get("/healthz") as answer:
            assert answer.status == 200
    finally:
        cassandra.resume()
    await until_found(session, "/readyz")


async def test_the_flow_is_that_of_the_worker(session: ClientSession) -> None:
    flow = await until_found(session, "/flow")
    assert list(flow["workers"].values()) == [""]
    assert flow["events"]["events.click"] >= 1 and flow["lists"] >= 1 and "rank" in flow["stages"]


def test_status_shows_the_server_where_it_runs(servers: Settings, http: str, worker: RunningWorker) -> None:
    line = next(line for line in status.report(servers) if line.what == "http")
    told, _, tried_again = line.detail.partition("; ")
    assert told == f"ready, at http://{http}" and line.pid
    assert not tried_again or tried_again.endswith("tried again")  # a busy machine's calls may have been
