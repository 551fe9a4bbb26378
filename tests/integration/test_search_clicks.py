"""Clicks on answers change the order of later ones: in every worker, over HTTP, and after a restart."""

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from itertools import count
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
from tests.integration.running import handled, owners, serving, until, upload
from tests.media import file_of, picture

pytestmark = pytest.mark.servers
CALLED, SEEN = "clicked-called", "clicked-seen"
PEOPLE = 60
numbers = count()


def image(number: int) -> str:
    return f"data:;base64,{b64encode(file_of(picture(number), 'PNG')).decode()}"


def shop() -> list[Upload]:
    """Something that is called a zeppelin, and something that looks like the picture that people ask with."""
    items = {CALLED: ("zeppelin", image(3)), SEEN: ("untitled", image(5))}
    return [
        Upload(
            event_id=f"{item_id}-{time.time()}",
            ts=time.time(),
            item_id=item_id,
            title=title,
            media={"image": uri},
            attributes=["sold=here"],
        )
        for item_id, (title, uri) in items.items()
    ]


def asked(settings: Settings, partitions: set[int]) -> Query:
    """For a zeppelin that looks like a picture, of the worker that has these partitions."""
    while True:
        made = query("zeppelin", {"image": image(5)}, filters={"sold": ["here"]}, limit=2, explain=True)
        if (murmur2(made.event_id.encode()) & 0x7FFFFFFF) % settings.kafka.partitions in partitions:
            return made


def order(answer: SearchResults | None) -> list[str]:
    assert answer is not None, "no answer came"
    return [each.item_id for each in answer.items]


def of_each_worker(settings: Settings, workers: int) -> list[SearchResults]:
    """An answer of each."""
    until(lambda: len(owners(settings)) == workers)
    shares = [topics["events.query"] for topics in owners(settings).values()]
    answers = [ask(settings.kafka, asked(settings, each), patience=60) for each in shares]
    return [each for each in answers if each is not None]


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


def test_what_people_click_comes_first_in_every_worker_over_http_and_after_a_restart(servers: Settings) -> None:
    with running_workers(servers, 2) as workers:
        upload(servers, shop())
        until(lambda: [order(each) for each in of_each_worker(servers, 2)] == [[CALLED, SEEN]] * 2)
        [answer, _] = of_each_worker(servers, 2)
        send(servers, clicks(answer.query_id, PEOPLE))
        until(lambda: handled(servers, "events.click"))
        until(lambda: [order(each) for each in of_each_worker(servers, 2)] == [[SEEN, CALLED]] * 2)
        one, other = of_each_worker(servers, 2)
        assert one.weights == other.weights
        assert one.weights["image in image"] > servers.search.weights["image in image"]
        with serving(servers) as address:
            until(lambda: order(over_http(address)) == [SEEN, CALLED])
            found = over_http(address)
            assert found.weights == one.weights
            send(servers, clicks(found.query_id, PEOPLE))
            until(lambda: handled(servers, "events.click"))
            until(lambda: all(each.weights != one.weights for each in of_each_worker(servers, 2)))
        learned, same = of_each_worker(servers, 2)
        assert learned.weights == same.weights
        for worker in workers:
            assert worker.terminate() == 0
            worker.start()
        assert [each.weights for each in of_each_worker(servers, 2)] == [learned.weights] * 2
