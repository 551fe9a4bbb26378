"""Cold items in a world where text says one half of what people like, and sound the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders import fusion as served
from encoders.contract import DIM, MODALITIES, PARTS
from encoders.projection import Projection
from encoders.training import cold_items, cold_items_report, fusion
from encoders.training.cold_items import AS_EMBEDDED, BY_CLICKS, Catalogue, Way, World
from encoders.training.factors import item_factors, place

ITEMS, USERS, CLICKS = 120, 80, 20


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Items are of four kinds, and everybody clicks items of one; each part tells two kinds from the other two."""
    generator = np.random.default_rng(0)
    kinds = np.arange(ITEMS) % 4
    natives = {
        name: (says + 0.5 * generator.standard_normal((ITEMS, MODALITIES[name].native_dim)) / 16).astype(np.float32)
        for name, says in (("text", one_of_two(kinds // 2)), ("audio", one_of_two(kinds % 2)))
    }
    users = np.repeat(np.arange(USERS), CLICKS)
    items = np.concatenate([generator.permutation(np.flatnonzero(kinds == user % 4))[:CLICKS] for user in range(USERS)])
    order = generator.permutation(len(users))
    return Catalogue(natives, users[order], items[order])


def one_of_two(which: np.ndarray) -> np.ndarray:
    return np.eye(2, 512)[which]


@pytest.fixture(scope="module")
def world(catalogue: Catalogue) -> World:
    choosing, _ = cold_items.deal(ITEMS, 1)
    return World(catalogue, choosing[0])


def gain(world: World, *parts: str) -> float:
    way = Way(parts, BY_CLICKS)
    return cold_items.gain(cold_items.ranks(world, way, cold_items.untrained(world, way)))


def test_where_each_part_says_a_half_both_place_a_new_item_better_than_either(world: World) -> None:
    both = gain(world, "text", "audio")
    assert both > gain(world, "text") + 0.05
    assert both > gain(world, "audio") + 0.05


def test_nothing_is_learned_from_a_click_on_a_cold_item(catalogue: Catalogue, world: World) -> None:
    warm = np.isin(catalogue.items, world.split.warm)
    without = World(replace(catalogue, users=catalogue.users[warm], items=catalogue.items[warm]), world.split)
    np.testing.assert_array_equal(without.vectors, world.vectors)
    np.testing.assert_array_equal(without.learn.histories, world.learn.histories)
    assert without.weights == world.weights
    assert np.isin(world.judge.nexts, world.split.cold).all()
    assert not np.isin(world.judge.histories, world.split.cold).any()


def test_no_item_is_cold_both_where_ways_are_chosen_and_where_they_are_judged() -> None:
    choosing, judging = cold_items.deal(100, 4)
    for split in choosing:
        assert not any(np.isin(split.cold, other.cold).any() for other in judging)
    for split in choosing + judging:
        assert len(split.cold) == 20
        assert sorted([*split.cold, *split.warm]) == list(range(100))


def test_weights_by_cross_validation_are_not_all_given_to_noise(catalogue: Catalogue) -> None:
    noise = np.random.default_rng(1).standard_normal((ITEMS, 512)).astype(np.float32)
    choosing, _ = cold_items.deal(ITEMS, 1)
    text, _ = World(replace(catalogue, natives={**catalogue.natives, "audio": noise}), choosing[0]).weights
    assert text > 0.2


def test_content_that_says_nothing_foretells_nothing_of_items_held_out(catalogue: Catalogue) -> None:
    factors = item_factors(catalogue.users, catalogue.items, ITEMS)
    noise = np.random.default_rng(1).standard_normal((ITEMS, 512)).astype(np.float32)

    def error(guesses: np.ndarray) -> float:
        return float(np.square(guesses - factors).sum() / np.square(factors).sum())

    assert error(place(noise, factors, lambda guesses: -error(guesses)).guesses) > 0.9
    assert error(place(catalogue.natives["text"], factors, lambda guesses: -error(guesses)).guesses) < 0.9


def test_popularity_counts_what_others_clicked_before() -> None:
    catalogue = Catalogue({"text": np.ones((6, 512), np.float32)}, np.array([1, 1, 1, 2, 2, 2, 1, 2, 2]), np.zeros(9))
    items = np.array([0, 1, 2, 0, 1, 2, 5, 4, 5])
    split = cold_items.Split(np.array([3, 4, 5]), np.array([0, 1, 2]))
    catalogue = replace(catalogue, items=items)
    world = World.__new__(World)
    world.split = split
    assert cold_items.popularity_so_far(catalogue, world).tolist() == [1.0, 1.5, 0.5]


def test_an_interval_tells_a_gain_from_a_wash() -> None:
    generator = np.random.default_rng(0)
    users, items = generator.integers(0, 50, 2000), generator.integers(0, 40, 2000)
    wash = generator.standard_normal(2000).astype(np.float32)
    low, high = cold_items_report.interval(wash, users, items)
    assert low < 0 < high
    low, high = cold_items_report.interval(wash + 1, users, items)
    assert 0 < low < 1 < high


def test_one_item_that_everybody_clicks_is_no_proof() -> None:
    users, items = np.arange(1000), np.repeat([0, 1], [900, 100])
    gained = np.where(items == 0, 1, -1).astype(np.float32)
    low, high = cold_items_report.interval(gained, users, items)
    assert low < 0 < high


def test_every_way_has_its_row_and_the_chosen_one_is_served_as_it_was_trained(
    catalogue: Catalogue, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_items, "CHECKS", (1, 2))
    monkeypatch.setattr(cold_items_report, "RESAMPLES", 20)
    advanced: list[None] = []
    found = cold_items_report.compare(catalogue, 1, lambda: advanced.append(None))
    assert len(advanced) == cold_items_report.networks(("text", "audio"), 1)
    page = cold_items_report.report(found)
    assert all(f"| {way} |" in page for way in cold_items.ways(("text", "audio")))

    way = found.best(parts=2)
    assert not way.method.startswith(AS_EMBEDDED)
    steps = found.steps[way]
    cold_items_report.save(world, way, steps, tmp_path)
    parts = np.zeros((ITEMS, len(PARTS), DIM), np.float32)
    for name, natives in catalogue.natives.items():
        parts[:, PARTS.index(name)] = Projection.load(MODALITIES[name], tmp_path)(natives)
    expected = fusion.fuse(cold_items.train(world, way, steps), cold_items.vectors(world, way))
    np.testing.assert_allclose(served.load(tmp_path)(parts), expected, atol=1e-4)
