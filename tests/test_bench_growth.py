"""The growing population is what it says it is, and what was measured is told in tables."""

from collections import Counter

import numpy as np

from encoders.contract import DIM
from streams.bench.freshness import Fresh
from streams.bench.growth import Growth, Step, sheets
from streams.bench.latency import Latency
from streams.bench.population import Population
from streams.core.vectors import unit
from streams.settings import Settings


def population(users: int = 50, items: int = 200) -> Population:
    generator = np.random.default_rng(0)
    vectors = [(f"i{number}", unit(generator.standard_normal(DIM).astype(np.float32))) for number in range(items)]
    made = Population(Settings(), vectors)
    made.users, made.items = users, items
    return made


def test_popular_items_are_clicked_oftener_and_every_user_clicks() -> None:
    made = population()
    clicks = [made.click() for _ in range(5_000)]
    items = Counter(click.item_id for click in clicks)
    assert items["i0"] > 2 * items["i3"] > 4 * items["i30"] > 0
    assert len({click.user_id for click in clicks}) == 50
    assert len({click.event_id for click in clicks}) == len(clicks)


def test_users_choose_what_is_like_their_favourite() -> None:
    made = population(users=1)
    vectors = dict(made._all)
    alike = [float(vectors[made.click().item_id] @ vectors["i0"]) for _ in range(2_000)]
    assert float(np.mean(alike)) > 2 * float(
        np.mean([vectors[f"i{place}"] @ vectors["i0"] for place in made._popular(2_000)])
    )


def test_a_user_has_a_past_of_a_hundred_and_a_taste_of_the_last() -> None:
    [first, second] = population().made(range(2))
    assert len(first.history) == 100 and len(first.recent_events) == 100
    assert set(first.taste.totals) == {"fused", "text"} and first.taste.totals["fused"].any()
    assert (first.user_id, second.user_id) == ("user-0", "user-1")


def test_what_was_measured_is_told_in_tables() -> None:
    latency = Latency(400.0, 2.0, 4_000, 0, p50=0.012, p90=0.02, p99=0.05, max=0.1)
    step = Step(1_000, 100, 3.0, 2.5, latency, latency, 2_100.0, 0.0008, 400 * 1024**2, 4_000_000)
    grown, fresh, found = sheets(Growth([step], [Fresh("text", [0.1, 0.2, 0.9])], [Fresh("text", [0.3])]))
    assert grown.rows == [
        [
            "1,000",
            "100",
            "2.5 s",
            "3.0 s",
            "12 / 100 ms",
            "12 / 50 ms",
            "2,100",
            "0.80 ms",
            "400 MiB",
            "4,000 bytes a user",
        ]
    ]
    assert fresh.rows == [["text", "200 ms", "900 ms", "3"]]
    assert found.rows == [["text", "300 ms", "300 ms", "1"]]
