"""Search through real Kafka, Cassandra and Triton, as people use it."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.local.worker import RunningWorker, running_worker
from streams.asking import query
from streams.cli import app
from streams.consumer import ask
from streams.events import Click, SearchResults, Upload
from streams.producer import EventProducer
from streams.replay import ListWatcher
from streams.settings import Settings
from tests.encoders.conftest import say
from tests.media import file_of, picture

pytestmark = pytest.mark.servers
NAMES = {"apple": "a red apple", "lion": "a lion roars", "train": "a steam train", "snow": "snow in the mountains"}


@pytest.fixture(scope="module")
def worker(servers: Settings) -> Iterator[RunningWorker]:
    with running_worker(servers) as running:
        yield running


@pytest.fixture(scope="module")
def catalogue(servers: Settings, worker: RunningWorker) -> None:
    with EventProducer(servers.kafka.address) as producer:
        for item_id, title in NAMES.items():
            producer.send(upload(item_id, title))
    awaited(servers, lambda answer: answer.total == len(NAMES), "", filters={"origin": ["here"]})


def upload(item_id: str, title: str, **fields: Any) -> Upload:
    at = time.time()
    attributes = ["origin=here", *fields.pop("attributes", [])]
    return Upload(
        event_id=f"search-{item_id}-{at}",
        ts=at,
        item_id=f"search-{item_id}",
        title=title,
        attributes=attributes,
        **fields,
    )


def awaited(
    servers: Settings, wanted: Callable[[SearchResults], bool], words: str, patience: float = 60.0, **fields: Any
) -> SearchResults:
    """Ask until the answer is as wanted."""
    deadline = time.monotonic() + patience
    while True:
        answer = ask(
            servers.kafka, query(words, fields.get("media", {}), **{k: v for k, v in fields.items() if k != "media"})
        )
        if answer is not None and wanted(answer):
            return answer
        assert time.monotonic() < deadline, f"not as wanted within {patience} s: {answer}"


def first(item: str) -> Callable[[SearchResults], bool]:
    return lambda answer: bool(answer.items) and answer.items[0].item_id == f"search-{item}"


@pytest.mark.usefixtures("catalogue")
def test_what_is_uploaded_is_found_in_another_language_and_what_is_withdrawn_is_not(servers: Settings) -> None:
    awaited(servers, first("lion"), "ein brüllender Löwe", filters={"origin": ["here"]})
    with EventProducer(servers.kafka.address) as producer:
        producer.send(upload("lion", "", withdrawn=True))
    awaited(
        servers, lambda answer: all("lion" not in item.item_id for item in answer.items), "lion roars", explain=True
    )


@pytest.mark.usefixtures("catalogue")
def test_speech_in_a_query_is_heard_by_triton_and_searched_for(servers: Settings) -> None:
    spoken = f"data:;base64,{b64encode(say('A red apple.')).decode()}"
    answer = awaited(servers, first("apple"), "", media={"speech": spoken}, explain=True)
    assert "apple" in answer.heard.lower() and answer.items[0].places["words"] == 1


@pytest.mark.usefixtures("catalogue")
def test_a_picture_finds_the_item_that_was_uploaded_with_it(servers: Settings) -> None:
    uri = f"data:;base64,{b64encode(file_of(picture(5), 'PNG')).decode()}"
    with EventProducer(servers.kafka.address) as producer:
        producer.send(upload("pictured", "untitled", media={"image": uri}))
    awaited(servers, first("pictured"), "", media={"image": uri})


@pytest.mark.usefixtures("catalogue")
def test_what_a_user_has_clicked_has_a_say_in_the_order_of_what_they_find(servers: Settings) -> None:
    click = Click(event_id=f"search-click-{time.time()}", ts=time.time(), user_id="searcher", item_id="search-train")
    with EventProducer(servers.kafka.address) as producer, ListWatcher(servers.kafka.address) as watcher:
        watcher.expect(click)
        producer.send(click)
        watcher.wait(patience=60)
    here = {"origin": ["here"]}
    answer = awaited(
        servers, lambda answer: "liking" in answer.weights, "", user_id="searcher", filters=here, explain=True
    )
    places = {item.item_id: item.places for item in answer.items}
    assert "liking" not in places["search-train"], "what was clicked is not recommended"
    answer = awaited(servers, lambda answer: answer.total > 2, "", filters=here, explain=True)
    assert all("liking" not in item.places for item in answer.items)


@pytest.mark.usefixtures("catalogue")
def test_the_command_shows_what_was_found_and_why(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(servers.home))
    run = CliRunner().invoke(
        app, ["search", "steam trian", "--filter", "origin=here", "--explain"], env={"COLUMNS": "200"}
    )
    assert run.exit_code == 0, run.output
    assert "search-train" in run.output and "words 1" in run.output and "did you mean: steam train" in run.output


def test_a_file_that_is_too_large_for_a_query_is_refused_with_the_limit(tmp_path: Path) -> None:
    from streams.errors import AnabranchError

    large = tmp_path / "large.png"
    large.write_bytes(bytes(1024 * 1024))
    with pytest.raises(AnabranchError, match=r"large\.png has 1048576 bytes, where a query holds at most 655360"):
        query("", {"image": str(large)})
