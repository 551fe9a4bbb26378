"""Clicks on answers change the order of later ones: in every worker, over HTTP, and after a restart."""

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from itertools import count
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest
from kafka.partitioner import murmur2

from deploy.local.worker import running_workers
from streams.asking import query
from streams.consumer import ask
from streams.events import Click, Event, Query, SearchResults, Upload
from streams.producer import EventProducer
from streams.settings import Settings
from tests.integration.running import handled, owners, until, upload
from tests.media import file_of, picture

pytestmark = pytest.mark.servers
CALLED, SEEN = "clicked-called", "clicked-seen"
IMAGES = "image in image"
PEOPLE = 60
numbers = count()


def image(number: int) -> str:
    return f"data:;base64,{b64encode(file_of(picture(number), 'PNG')).decode()}"


def shop() -> list[Upload]:
    """Something that is called a zeppelin, and something that looks like the picture that people ask with."""
    items: dict[str, dict[str, Any]] = {
        CALLED: {"title": "zeppelin"},
        SEEN: {"title": "untitled", "media": {"image": image(5)}},
    }
    now = time.time()
    return [
        Upload(event_id=f"{item_id}-{now}", ts=now, item_id=item_id, attributes=["sold=here"], **fields)
        for item_id, fields in items.items()
    ]


def asked(settings: Settings, partitions: set[int]) -> Query:
    """For a zeppelin that looks like a picture, of the worker that has these partitions."""
    while True:
        made = query("zeppelin", {"image": image(5)}, filters={"sold": ["here"]}, limit=2, explain=True)
        if (murmur2(made.event_id.encode()) & 0x7FFFFFFF) % settings.kafka.partitions in partitions:
            return made


def order(answer: SearchResults) -> list[str]:
    return [each.item_id for each in answer.items]


def of_each_worker(settings: Settings) -> list[SearchResults]:
    """An answer of each of two."""
    until(lambda: [bool(each.get("events.query")) for each in owners(settings).values()] == [True, True])
    shares = [topics["events.query"] for topics in owners(settings).values()]
    answers = [ask(settings.kafka, asked(settings, each), patience=60) for each in shares]
    return [each for each in answers if each is not None]


def ordered(settings: Settings, wanted: list[str]) -> dict[str, float]:
    """What rankings count for both workers, once both answer in that order, and by the same weights."""
    found: list[SearchResults] = []

    def both_alike() -> bool:
        found[:] = of_each_worker(settings)
        return [order(each) for each in found] == [wanted, wanted] and found[0].weights == found[1].weights

    until(both_alike)
    return found[0].weights


def send(settings: Settings, events: Sequence[Event]) -> None:
    with EventProducer(settings.kafka.address) as producer:
        for event in events:
            producer.send(event)


def clicks(query_id: str, people: int) -> list[Click]:
    """Each of other people."""
    who = [f"clicked-{next(numbers)}" for _ in range(people)]
    return [
        Click(event_id=f"{each}-{query_id}", ts=time.time(), user_id=each, item_id=SEEN, query_id=query_id, position=1)
        for each in who
    ]


def over_http(address: str) -> SearchResults:
    body = {
        "text": "zeppelin",
        "media": {"image": image(5)},
        "filters": {"sold": ["here"]},
        "limit": 2,
        "explain": True,
    }
    request = Request(
        f"http://{address}/search", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urlopen(request, timeout=60) as response:
        return msgspec.json.decode(response.read(), type=SearchResults)


def teach(settings: Settings, query_id: str) -> None:
    send(settings, clicks(query_id, PEOPLE))
    until(lambda: handled(settings, "events.click"))


def test_what_people_click_comes_first_in_every_worker_over_http_and_after_a_restart(
    servers: Settings, http: str
) -> None:
    with running_workers(servers, 2) as workers:
        until(lambda: all(worker.is_ready() for worker in workers))
        upload(servers, shop())
        before = ordered(servers, [CALLED, SEEN])
        teach(servers, of_each_worker(servers)[0].query_id)
        taught = ordered(servers, [SEEN, CALLED])
        assert taught[IMAGES] > before[IMAGES] and taught["words"] < before["words"]

        until(lambda: over_http(http).weights == taught)
        found = over_http(http)
        assert order(found) == [SEEN, CALLED]
        teach(servers, found.query_id)
        further = ordered(servers, [SEEN, CALLED])
        assert further != taught, "a click on an answer over HTTP teaches, too"

        for worker in workers:
            assert worker.terminate() == 0
            worker.start()
        assert ordered(servers, [SEEN, CALLED]) == further
