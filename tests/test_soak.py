"""What a long run saw is summed up truly."""

import random
from itertools import islice

import pytest

from streams.datasets.dataset import Dataset
from streams.events import Click, Profile
from streams.reports import environment
from streams.soak import Outcome, Sample, endless, page, slope, summary


def samples(growth: float) -> list[Sample]:
    """Ten seconds apart; memory fills caches for five minutes and then grows by so many MiB an hour."""
    ages = [10.0 * n for n in range(90)]
    return [Sample(at, min(at, 300) + max(0, at - 300) / 3600 * growth, 3, 0.01, 0.05) for at in ages]


@pytest.mark.parametrize("growth", [0.0, 50.0, -7.0])
def test_the_slope_of_memory_is_that_after_caches_have_filled(growth: float) -> None:
    outcome = Outcome(environment(), 1_000.0, 700.0, samples(growth), 0)
    assert outcome.memory_slope == pytest.approx(growth, abs=0.01)
    assert f"{growth:+,.1f} ± 0.0 MiB an hour" in str(summary(outcome).caption)
    assert f"{growth:+,.1f} ± 0.0 MiB an hour" in page(outcome)


@pytest.mark.parametrize("likeness", [0.0, 0.8])
def test_the_interval_of_a_slope_holds_the_true_one_as_often_as_it_says(likeness: float) -> None:
    chance = random.Random(3)
    held = 0
    for _ in range(400):
        noise, seen = 0.0, []
        for n in range(120):
            noise = likeness * noise + chance.gauss(0, 1)
            seen.append(0.5 * n + noise)
        found, error = slope(range(120), seen)
        held += abs(found - 0.5) <= error
    assert 0.88 <= held / 400 <= 0.985


def test_the_same_people_do_the_same_again_under_new_ids() -> None:
    clicks = [Click(event_id=f"e{n}", ts=float(n + 1), user_id="ada", item_id=f"i{n}") for n in range(3)]
    profile = Profile(event_id="p", ts=0.5, user_id="ada", traits={})
    dataset = Dataset(name="one", uploads=[], profiles={"ada": profile}, activity=list(clicks), captions={})
    events = list(islice(endless(dataset), 12))
    assert len({event.event_id for event in events}) == 12
    assert [event.item_id for event in events if isinstance(event, Click)] == ["i0", "i1", "i2"] * 3
