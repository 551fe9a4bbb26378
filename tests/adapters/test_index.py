"""The index finds what an exact search finds, and follows changes."""

import subprocess
import sys

import numpy as np
import pytest

from streams.adapters.index import VectorIndex
from streams.core.vectors import Vector, unit

DIM = 64


def vectors(count: int, seed: int = 0) -> list[Vector]:
    """Clustered, as embeddings are."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((20, DIM))
    return [unit((centres[n % 20] + 0.7 * generator.standard_normal(DIM)).astype(np.float32)) for n in range(count)]


@pytest.fixture(scope="module")
def filled() -> tuple[VectorIndex, np.ndarray]:
    index, items = VectorIndex(DIM), vectors(3_000)
    for slot, vector in enumerate(items):
        index.put(slot, vector)
    return index, np.array(items)


def test_an_empty_index_finds_nothing() -> None:
    slots, scores = VectorIndex(DIM).nearest(vectors(1)[0], 10)
    assert len(slots) == len(scores) == 0


def test_the_first_100_are_those_of_an_exact_search_but_for_2_in_100(filled: tuple[VectorIndex, np.ndarray]) -> None:
    index, items = filled
    found = 0
    for query in vectors(50, seed=1):
        exact = set(np.argsort(-(items @ query))[:100].tolist())
        found += len(exact & set(index.nearest(query, 100)[0].tolist()))
    assert found / (50 * 100) >= 0.98


def test_scores_are_cosines_best_first(filled: tuple[VectorIndex, np.ndarray]) -> None:
    index, items = filled
    slots, scores = index.nearest(items[7], 20)
    assert slots[0] == 7
    np.testing.assert_allclose(scores, items[slots] @ items[7], atol=5e-3)
    assert (np.diff(scores) <= 1e-6).all()


def test_an_item_that_moved_is_found_at_its_new_place_only() -> None:
    index = VectorIndex(DIM)
    old, new = vectors(2)
    index.put(1, old)
    index.put(1, new)
    assert len(index) == 1
    slots, scores = index.nearest(new, 5)
    assert slots.tolist() == [1] and scores[0] == pytest.approx(1, abs=5e-3)


def test_an_item_taken_out_is_found_no_more_and_can_come_back() -> None:
    index = VectorIndex(DIM)
    [vector] = vectors(1)
    index.remove(3)
    index.put(3, vector)
    index.remove(3)
    assert index.nearest(vector, 5)[0].tolist() == []
    index.put(3, vector)
    assert index.nearest(vector, 5)[0].tolist() == [3]


def test_among_some_the_order_is_exact_and_those_not_there_are_left_out(filled: tuple[VectorIndex, np.ndarray]) -> None:
    index, items = filled
    query = vectors(1, seed=2)[0]
    some = np.array([5, 2_999, 70, 9_999, 800], np.int32)
    slots, cosines = index.among(query, some)
    there = np.array([5, 2_999, 70, 800])
    assert slots.tolist() == there[np.argsort(-(items[there] @ query))].tolist()
    np.testing.assert_allclose(cosines, items[slots] @ query, atol=5e-3)


def test_among_none_and_in_an_empty_index_nothing_is_found(filled: tuple[VectorIndex, np.ndarray]) -> None:
    nothing = np.zeros(0, np.int32)
    for index, some in ((filled[0], nothing), (VectorIndex(DIM), nothing), (VectorIndex(DIM), np.array([1], np.int32))):
        slots, cosines = index.among(vectors(1)[0], some)
        assert len(slots) == len(cosines) == 0


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> tuple[VectorIndex, np.ndarray]:
    """A graph with so few links that it does not lead to many an item."""
    monkeypatch.setattr("streams.adapters.index.CONNECTIVITY", 2)
    index, items = VectorIndex(DIM, effort=16), vectors(500)
    for slot, vector in enumerate(items):
        index.put(slot, vector)
    return index, np.array(items)


def test_an_item_that_the_graph_does_not_lead_to_is_found_all_the_same(poor: tuple[VectorIndex, np.ndarray]) -> None:
    index, items = poor
    led_to = 0
    for slot, vector in enumerate(vectors(300, seed=1), len(items)):
        index.put(slot, vector)
        assert slot in index.nearest(vector, 20)[0]
        led_to += slot in index._index.search(vector, 20).keys
    assert led_to < 280, "the graph is meant to be poor"
    slots, cosines = index.nearest(items[3], 20)
    assert len(set(slots.tolist())) == len(slots) == 20 and (np.diff(cosines) <= 1e-6).all()


def test_what_the_graph_misses_is_kept_with_it(poor: tuple[VectorIndex, np.ndarray]) -> None:
    index, items = poor
    other = VectorIndex(DIM, effort=16)
    other.load(index.save())
    for vector in items[:50]:
        for one, same in zip(index.nearest(vector, 20), other.nearest(vector, 20), strict=True):
            np.testing.assert_array_equal(one, same)


def test_what_the_graph_misses_moves_and_goes_as_all_else(poor: tuple[VectorIndex, np.ndarray]) -> None:
    index, items = poor
    missed = list(index._missed)
    index.remove(missed[0])
    assert missed[0] not in index.nearest(items[missed[0]], 20)[0]
    index.put(missed[1], items[0])
    assert index.nearest(items[0], 20)[0].tolist().count(missed[1]) == 1
    assert missed[1] not in index.nearest(items[missed[1]], 1)[0]


def test_only_the_latest_that_are_missed_are_compared(
    poor: tuple[VectorIndex, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, items = poor
    before = list(index._missed)
    monkeypatch.setattr("streams.adapters.index.MISSED_KEPT", 10)
    number = len(items)
    while list(index._missed)[-1] == before[-1]:  # until one more is missed
        index.put(number, vectors(1, seed=number)[0])
        number += 1
    assert list(index._missed)[:-1] == before[-9:]


def test_an_index_that_was_saved_before_it_knew_what_it_misses_can_be_loaded(
    filled: tuple[VectorIndex, np.ndarray],
) -> None:
    index, items = filled
    other = VectorIndex(DIM)
    other.load(bytes(index._index.save()))
    assert other.nearest(items[5], 1)[0].tolist() == [5]


@pytest.mark.parametrize("first", ["streams.adapters.index", "encoders.networks"])
def test_it_may_be_imported_before_the_networks_and_after_them(first: str) -> None:
    command = [sys.executable, "-c", f"import {first}, streams.adapters.index, encoders.networks"]
    assert subprocess.run(command, check=False).returncode == 0
