import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.memory.expert import take_best
from streams.core.memory.rows import Rows, add_to_row

HALF_LIFE = 50.0


def add(rows: Rows, row: int, column: int, weight: float, at: float) -> None:
    add_to_row(rows.slots, rows.weights, rows.lengths, row, column, weight * rows.growth(at))


def held(rows: Rows, row: int, at: float = 0.0) -> dict[int, float]:
    """Item -> its weight, faded until a time."""
    length, faded = rows.lengths[row], rows.weights[row] / rows.growth(at)
    return dict(zip(rows.slots[row, :length].tolist(), faded[:length].tolist(), strict=True))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 300)), min_size=1, max_size=40))
@settings(deadline=None)
def test_a_wide_row_holds_faded_sums_whatever_the_order(events: list[tuple[int, int]]) -> None:
    rows = Rows(1, 8, HALF_LIFE)
    latest = max(at for _, at in events)
    expected: dict[int, float] = {}
    for column, at in events:
        add(rows, 0, column, 1.0, float(at))
        expected[column] = expected.get(column, 0) + 0.5 ** ((latest - at) / HALF_LIFE)
    found = held(rows, 0, float(latest))
    assert found.keys() == expected.keys()
    assert all(math.isclose(found[column], expected[column], rel_tol=1e-3) for column in found)


def test_in_a_full_row_a_new_item_takes_the_place_of_the_weakest() -> None:
    rows = Rows(1, 2, HALF_LIFE)
    add(rows, 0, 1, 3.0, 0.0)
    add(rows, 0, 2, 1.0, 0.0)
    add(rows, 0, 3, 1.0, 0.0)
    assert held(rows, 0) == {1: 3.0, 3: 1.0}


def test_what_was_long_ago_is_faint_and_nothing_overflows() -> None:
    rows = Rows(1, 2, half_life=1.0)
    for at in range(0, 1_000, 10):
        add(rows, 0, 1, 1.0, float(at))
    add(rows, 0, 2, 1.0, 1_000.0)
    found = held(rows, 0, 1_000.0)
    assert found[2] == 1.0 and math.isclose(found[1], 2.0**-10, rel_tol=1e-2)


@given(st.lists(st.floats(0.0625, 1024, width=32), min_size=1, max_size=200), st.integers(1, 40))
@settings(deadline=None)
def test_the_best_are_taken_up_to_two_percent(values: list[float], room: int) -> None:
    totals = np.array(values, np.float32)
    touched = np.arange(len(values), dtype=np.int32)
    shown = np.zeros(len(values), np.int64)
    slots, scores = np.zeros(room, np.int32), np.zeros(room, np.float32)
    count = take_best(totals, touched, len(values), shown, 1, slots, scores)
    assert count == min(room, len(values))
    assert len(set(slots[:count].tolist())) == count
    assert not totals.any()
    np.testing.assert_array_equal(scores[:count], np.array(values, np.float32)[slots[:count]])
    exact = np.sort(np.array(values, np.float32))[::-1][:count]
    assert (np.sort(scores[:count])[::-1] >= 0.98 * exact).all()
