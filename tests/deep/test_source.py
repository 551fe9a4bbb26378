"""A log of events becomes what models learn from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.training.deep.content import modalities
from streams.deep.source import NothingToLearn, of_events, read
from streams.errors import AnabranchError, PartRefused
from streams.events import Click, Forget, Profile, Upload, View, encode
from streams.settings import load


class Files:
    """Media: of two pictures the second cannot be had; it remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, uri: str, limit: int) -> bytes:
        self.asked.append(uri)
        if uri == "file:///gone.png":
            raise PartRefused(uri)
        return uri.encode()


def click(number: int, user: str, item: str, ts: float) -> Click:
    return Click(event_id=f"c-{number}", ts=ts, user_id=user, item_id=item)


def upload(number: int, item: str, ts: float, title: str, **media: str) -> Upload:
    return Upload(event_id=f"u-{number}", ts=ts, item_id=item, title=title, media=media, attributes=["drama"])


EVENTS = [
    click(1, "ann", "b", 30.0),
    click(2, "ann", "a", 20.0),
    click(2, "ann", "a", 20.0),  # delivered twice
    View(event_id="v-1", ts=40.0, user_id="bob", item_id="c"),
    upload(1, "a", 5.0, "First", image="file:///good.png"),
    upload(2, "a", 15.0, "Second", image="file:///good.png", audio="file:///good.wav"),
    upload(3, "b", 6.0, "B", image="file:///gone.png"),
    Profile(event_id="p-1", ts=1.0, user_id="ann", traits={"age": 30}),
]


def test_touches_come_in_the_order_of_time_and_count_once() -> None:
    log = of_events(EVENTS, Files())
    assert [log.item_ids[item] for item in log.items] == ["a", "b", "c"]
    assert log.at.tolist() == [20.0, 30.0, 40.0]
    assert log.clicked.tolist() == [True, True, False]
    assert [json.loads(log.traits[user]) if log.traits[user] else None for user in log.users] == [
        {"age": 30}, {"age": 30}, None,
    ]  # fmt: skip


def test_an_item_is_what_its_latest_upload_says_and_there_since_its_first() -> None:
    log = of_events(EVENTS, Files(), {"image"})
    told = dict(zip(log.item_ids, zip(log.texts, log.files_of("image"), log.listed_at, strict=True), strict=True))
    assert told == {
        "a": ("Second\ndrama", b"file:///good.png", 5.0),
        "b": ("B\ndrama", None, 6.0),
        "c": ("", None, 40.0),
    }


def test_no_file_is_fetched_that_no_part_is_made_of() -> None:
    asked = {}
    for parts in (("item", "text", "words"), ("item", "pixels"), ("image", "audio")):
        media = Files()
        log = of_events(EVENTS, media, modalities(parts))
        asked[parts] = sorted(media.asked)
        if "audio" in parts:
            assert list(log.files_of("audio")) == [b"file:///good.wav", None, None]
            assert list(log.files_of("video")) == [None] * 3
    pictures = ["file:///gone.png", "file:///good.png"]
    assert list(asked.values()) == [[], pictures, [*pictures, "file:///good.wav"]]


def test_nothing_is_learned_of_before_a_user_was_forgotten() -> None:
    later = click(9, "ann", "c", 60.0)
    log = of_events([*EVENTS, Forget(event_id="f-1", ts=50.0, user_id="ann"), later], Files())
    assert log.at.tolist() == [40.0, 60.0]
    assert log.traits == [b"", b""]


def test_nothing_is_learned_of_what_its_user_does_not_allow() -> None:
    def says(ts: float, **fields: Any) -> Profile:
        return Profile(event_id=f"s-{ts}", ts=ts, user_id="ann", **fields)

    profiled_no_more = [says(25.0, profiling=False), click(9, "ann", "c", 60.0), says(62.0, traits={"age": 31})]
    assert of_events([*EVENTS, *profiled_no_more, click(8, "bob", "a", 50.0)], Files()).at.tolist() == [40.0, 50.0]
    again = [*profiled_no_more, says(70.0, profiling=True, traits={"age": 32}), click(10, "ann", "b", 80.0)]
    log = of_events([*EVENTS, *again], Files())
    assert log.at.tolist() == [40.0, 80.0] and log.traits == [b"", b'{"age":32}']
    assert of_events([*EVENTS, says(25.0, use_profile=False)], Files()).traits == [b"", b""]


def test_a_log_without_a_click_is_refused() -> None:
    with pytest.raises(NothingToLearn):
        of_events([event for event in EVENTS if not isinstance(event, Click)], Files())


def test_a_file_of_json_lines_is_a_log(tmp_path: Path) -> None:
    topics = {Click: "events.click", View: "events.view", Upload: "events.upload", Profile: "events.profile"}
    lines = [{"topic": topics[type(event)]} | json.loads(encode(event)) for event in EVENTS if type(event) in topics]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    log, expected = read(str(path), load(home=tmp_path), ()), of_events(EVENTS, Files())
    assert log.item_ids == expected.item_ids and np.array_equal(log.items, expected.items)


def test_a_place_that_holds_no_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnabranchError, match=r"nowhere.*neither 'kafka', nor a file of events"):
        read(str(tmp_path / "nowhere"), load(home=tmp_path), ())
