from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.catalogue import Catalogue
from streams.core.history import History

touches = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=60)


@given(touches, st.integers(1, 12), st.integers(0, 12))
@settings(deadline=None)
def test_a_history_is_the_latest_touches_in_time_order(events: list[tuple[int, int]], limit: int, known: int) -> None:
    """And its trail, asked for after every touch, is the same as one made anew."""
    catalogue = Catalogue(capacity=4)
    for item in range(min(known, 5)):
        catalogue.ensure(str(item), 0.0)
    history = History(max_items=limit)
    expected: list[tuple[int, int]] = []
    for number, (item, at) in enumerate(events):
        history.add(str(item), float(at), 1.0)
        place = sum(time <= at for _, time in expected)
        expected.insert(place, (item, at))
        expected = expected[-limit:]
        if number == known:  # the catalogue may learn of items later than their touches
            catalogue.ensure("9", 0.0)
        trail = history.trail(catalogue)
        met = [(slot, at) for item, at in expected if (slot := catalogue.slot(str(item))) >= 0]
        assert list(zip(trail.slots.tolist(), trail.times.tolist(), strict=True)) == met
    assert [int(item) for item in history.item_ids] == [item for item, _ in expected]
    assert history.times == [at for _, at in expected]
    assert all((str(item) in history) == any(item == other for other, _ in expected) for item in range(10))
    assert len(history) == len(expected)


@given(touches)
@settings(deadline=None)
def test_a_history_from_the_store_equals_the_one_that_was_stored(events: list[tuple[int, int]]) -> None:
    history = History()
    for item, at in events:
        history.add(str(item), float(at), 0.5)
    stored = zip(history.item_ids, history.times, history.weights, strict=True)
    copy = History.of(stored)
    assert copy.item_ids == history.item_ids
    assert copy.times == history.times
    assert copy.weights == history.weights


def test_the_trail_follows_another_catalogue() -> None:
    first, second = Catalogue(4), Catalogue(4)
    first.ensure("a", 0.0)
    second.ensure("b", 0.0)
    second.ensure("a", 0.0)
    history = History.of([("a", 1.0, 1.0)])
    assert history.trail(first).slots.tolist() == [0]
    assert history.trail(second).slots.tolist() == [1]
