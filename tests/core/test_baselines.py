"""What every baseline must do, and what each is for, in worlds whose right answers are obvious."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from streams.core.baselines import BASELINES, Baseline
from streams.core.baselines.baseline import highest
from streams.core.baselines.ease import Ease
from streams.core.baselines.neighbours import Stan
from streams.core.baselines.pairs import Row, SequentialRules
from streams.core.baselines.popular import RecentlyPopular

Make = Callable[[Sequence[str]], Baseline]

NOON = 1.7e9
DAY = 86_400.0
ITEMS = [f"item {number}" for number in range(20)]
PERSONAL = [name for name in BASELINES if name not in ("popular", "recently popular")]

every = pytest.mark.parametrize("make", BASELINES.values(), ids=BASELINES)
personal = pytest.mark.parametrize("make", [BASELINES[name] for name in PERSONAL], ids=PERSONAL)


def live(system: Baseline, users: int = 60) -> None:
    """Users touch either even or odd items, in rising order, starting anywhere."""
    for user in range(users):
        for step in range(6):
            item = 2 * ((step + user) % 10) + user % 2
            system.learn(f"user {user}", f"item {item}", NOON + 600 * user + 20 * step)


@every
def test_lists_are_full_distinct_and_unseen(make: Make) -> None:
    system = make(ITEMS)
    for number in range(40):
        user, at = f"user {number % 5}", NOON + number
        listed = system.recommend(user, at, 7)
        assert len(set(listed)) == 7
        seen = {ITEMS[slot] for past in system.pasts[number % 5 : number % 5 + 1] for slot in past.slots.tolist()}
        assert not seen & set(listed)
        system.learn(user, ITEMS[number * 3 % 20], at)


@every
def test_somebody_who_has_seen_it_all_gets_an_empty_list(make: Make) -> None:
    system = make(ITEMS[:3])
    for number, item in enumerate(ITEMS[:3]):
        system.learn("ann", item, NOON + number)
    assert system.recommend("ann", NOON + DAY, 5) == []


@every
def test_a_newcomer_is_shown_what_most_people_touch(make: Make) -> None:
    system = make(ITEMS)
    for user in range(5):
        system.learn(f"user {user}", "item 7", NOON + user)
    system.learn("user 0", "item 8", NOON + 10)
    assert system.recommend("newcomer", NOON + DAY, 1) == ["item 7"]


@every
def test_the_same_log_gives_the_same_lists(make: Make) -> None:
    once, again = make(ITEMS), make(ITEMS)
    for system in (once, again):
        live(system)
    assert once.recommend("user 3", NOON + DAY, 10) == again.recommend("user 3", NOON + DAY, 10)


@every
def test_a_second_touch_of_an_item_teaches_nothing(make: Make) -> None:
    once, again = make(ITEMS), make(ITEMS)
    for system in (once, again):
        live(system)
    again.learn("user 3", f"item {2 * 3 + 1}", NOON + DAY)  # user 3's first
    assert once.recommend("user 3", NOON + DAY, 10) == again.recommend("user 3", NOON + DAY, 10)


@personal
def test_in_a_world_of_two_kinds_each_user_is_shown_their_own(make: Make) -> None:
    system = make(ITEMS)
    live(system)
    for user, kind in (("even", 0), ("odd", 1)):
        for step in range(3):
            system.learn(user, f"item {2 * step + kind}", NOON + DAY / 2 + 20 * step)
    if isinstance(system, Ease):
        system._fit()  # as it would after `refit` touches
    for user, kind in (("even", 0), ("odd", 1)):
        listed = system.recommend(user, NOON + DAY, 4)
        assert sum(int(item.removeprefix("item ")) % 2 == kind for item in listed) >= 3


def test_what_is_popular_of_late_overtakes_what_was() -> None:
    system = RecentlyPopular(ITEMS, half_life=DAY)
    for user in range(10):
        system.learn(f"early {user}", "item 1", NOON)
    for user in range(3):
        system.learn(f"late {user}", "item 2", NOON + 5 * DAY)
    assert system.recommend("newcomer", NOON + 5 * DAY, 2) == ["item 2", "item 1"]


def test_a_log_of_years_does_not_overflow() -> None:
    system = RecentlyPopular(ITEMS, half_life=DAY)
    for day in range(0, 5_000, 50):
        system.learn(f"user {day}", ITEMS[day // 50 % 20], NOON + day * DAY)
    assert np.isfinite(system._fading).all()
    assert system.recommend("newcomer", NOON + 5_000 * DAY, 1) == [ITEMS[4950 // 50 % 20]]


def test_rules_go_one_way() -> None:
    system = SequentialRules(ITEMS, steps=10, depth=5)
    for user in range(5):
        for step in range(4):
            system.learn(f"user {user}", f"item {step}", NOON + 100 * user + step)
    system.learn("ann", "item 2", NOON + DAY)
    assert system.recommend("ann", NOON + DAY, 1) == ["item 3"]


def test_stan_hears_neighbours_seen_lately_louder() -> None:
    system = Stan(ITEMS, visitors=50, neighbours=10, depth=5, half=5, fresh=DAY, near=5)
    for user, item, at in (("old", "item 1", 0.0), ("new", "item 2", 9 * DAY)):
        system.learn(user, "item 0", NOON + at)
        system.learn(user, item, NOON + at + 10)
    system.learn("ann", "item 0", NOON + 9 * DAY + 20)
    assert system.recommend("ann", NOON + 9 * DAY + 30, 2) == ["item 2", "item 1"]


def test_ease_is_the_closed_form() -> None:
    """Against the plain formula, for three users and three items."""
    system = Ease(ITEMS[:3], ridge=0.5, refit=5, widest=10, depth=5, half=1e9)
    touches = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    for user, row in enumerate(touches):
        for item in np.flatnonzero(row):
            system.learn(str(user), ITEMS[item], NOON)
    system._fit()
    inverse = np.linalg.inv(touches.T @ touches + 0.5 * np.eye(3))
    expected = np.eye(3) - inverse / np.diag(inverse)
    order = system._columns
    np.testing.assert_allclose(system._model[np.ix_(order, order)], expected, atol=1e-5)


def test_a_row_holds_sums() -> None:
    row, totals = Row(), np.zeros(30, np.float32)
    for column in [*range(30), *range(0, 30, 2)]:
        row.add(column, 1.5)
    row.add_to(totals, 2.0)
    assert totals.tolist() == [6.0, 3.0] * 15


def test_the_highest_are_in_order_and_equals_by_slot() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.0, 0.9, 0.5], np.float32)
    assert highest(scores, np.array([4], np.int32), 3) == [1, 0, 2]
    assert highest(scores, np.array([], np.int32), 10) == [1, 4, 0, 2, 5]
