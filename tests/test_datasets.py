"""The data sets say what they are said to."""

from collections import Counter

import pytest

from streams.datasets.movielens import movielens
from streams.datasets.nowplaying import nowplaying
from streams.datasets.stamps import FAITHFUL, kind, stamps
from streams.events import Click, Profile, View, decode, encode
from streams.settings import load

DOWNLOADS = load().downloads_folder


def test_movielens_is_whole_and_in_the_order_it_happened() -> None:
    dataset = movielens(DOWNLOADS)
    assert (len(dataset.uploads), len(dataset.profiles), len(dataset.activity)) == (1_682, 943, 100_000)
    assert sum(isinstance(event, Click) for event in dataset.activity) == 55_375
    times = [event.ts for event in dataset.activity]
    assert times == sorted(times)


def test_each_user_signs_up_just_before_their_first_event() -> None:
    dataset = movielens(DOWNLOADS)
    seen: set[str] = set()
    for event in dataset.with_sign_ups():
        if isinstance(event, Profile):
            seen.add(event.user_id)
        else:
            assert event.user_id in seen
    assert len(seen) == 943


def test_all_of_movielens_passes_as_events() -> None:
    dataset = movielens(DOWNLOADS)
    for upload in dataset.uploads:
        decode("events.upload", encode(upload), key=upload.key.encode(), now=2e9)
    for event in dataset.activity[::50]:
        topic = "events.click" if isinstance(event, Click) else "events.view"
        decode(topic, encode(event), key=event.key.encode(), now=2e9)


def test_nowplaying_is_the_oldest_plays_in_the_order_they_happened() -> None:
    dataset = nowplaying(DOWNLOADS, plays=20_000)
    assert len(dataset.activity) == 20_000
    times = [event.ts for event in dataset.activity]
    assert times == sorted(times)
    assert {event.item_id for event in dataset.activity} == {upload.item_id for upload in dataset.uploads}
    assert len({event.user_id for event in dataset.activity}) == 1_992


@pytest.mark.servers
def test_simulated_visitors_click_on_what_they_are_said_to_like() -> None:
    dataset = stamps(DOWNLOADS)
    assert len(dataset.uploads) == 952
    kinds = Counter(kind(upload.item_id) for upload in dataset.uploads)
    assert len(kinds) > 20
    clicks = [event for event in dataset.activity if isinstance(event, Click)]
    views = [event for event in dataset.activity if isinstance(event, View)]
    assert all(click.item_id in dataset.liked[click.user_id] for click in clicks)
    assert len(clicks) / (len(clicks) + len(views)) == pytest.approx(FAITHFUL, abs=0.03)
