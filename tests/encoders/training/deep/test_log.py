"""What a model may know: nothing of what came later."""

import numpy as np

from encoders.training.deep.examples import HISTORY, NOBODY, Known, examples
from encoders.training.deep.log import Log, Window, splits
from tests.encoders.training.deep.worlds import two_tastes

EVER = Window(-np.inf, np.inf)


def small() -> Log:
    """User 0 clicks items 0, 1, 1 again, sees 2, clicks 3; user 1 clicks 3. Item 3 is listed late, item 4 never."""
    return Log(
        item_ids=list("abcde"),
        texts=[""] * 5,
        listed_at=np.array([0.0, 0.0, 0.0, 40.0, np.inf]),
        traits=[b"", b""],
        users=np.array([0, 0, 0, 0, 0, 1]),
        items=np.array([0, 1, 1, 2, 3, 3]),
        at=np.array([10.0, 20.0, 30.0, 35.0, 40.0, 50.0]),
        clicked=np.array([True, True, True, False, True, True]),
    )


def test_a_history_holds_the_clicks_before_and_no_view_nor_what_comes_later() -> None:
    found = examples(small(), Window(15.0, 45.0))
    assert found.items.tolist() == [1, 3]  # once clicked, an item clicked again is no news
    assert found.histories.tolist() == [[NOBODY] * (HISTORY - 1) + [0], [NOBODY] * (HISTORY - 3) + [0, 1, 1]]


def test_views_are_told_from_clicks_where_they_are_asked_for() -> None:
    found = examples(small(), EVER, views=True)
    assert list(zip(found.items.tolist(), found.clicked.tolist(), strict=True)) == [
        (0, True), (1, True), (2, False), (3, True), (3, True),
    ]  # fmt: skip


def test_negatives_were_there_and_had_not_been_touched_by_then() -> None:
    known, generator = Known(small()), np.random.default_rng(0)
    early = known.negatives(np.array([0]), np.array([25.0]), 50, generator)
    assert set(early.ravel().tolist()) == {2}  # touched later, which nobody could know
    late = known.negatives(np.array([1]), np.array([45.0]), 50, generator)
    assert set(late.ravel().tolist()) == {0, 1, 2, 3}


def test_what_could_be_chosen_is_what_was_listed_and_not_touched_before() -> None:
    known = Known(small())
    assert known.available(0, 40.0).tolist() == [False, False, False, True, False]
    assert known.available(1, 40.0).tolist() == [True, True, True, True, False]


def test_windows_follow_each_other_and_leave_no_click_out() -> None:
    log = two_tastes()
    made = splits(log, 3)
    assert len(made) == 3 and made[-1].test.end == np.inf
    for split in made:
        assert split.train.end == split.validate.start < split.validate.end == split.test.start < split.test.end
        counts = [len(examples(log, window)) for window in (split.train, split.validate, split.test)]
        assert abs(counts[1] - len(log.items) / 10) <= 1 and abs(counts[2] - len(log.items) / 10) <= 1
        assert counts[0] == (log.at < split.train.end).sum()
    assert made[0].test.end == made[1].test.start


def test_what_is_learned_does_not_change_with_what_comes_later() -> None:
    """Leakage: the same examples and negatives from a log that ends where the window does."""
    log, window = two_tastes(), Window(-np.inf, 500.0)
    until = log.at < 500.0
    short = Log(
        log.item_ids, log.texts, log.listed_at, log.traits,
        log.users[until], log.items[until], log.at[until], log.clicked[until],
    )  # fmt: skip
    whole, cut = examples(log, window), examples(short, window)
    assert np.array_equal(whole.histories, cut.histories) and np.array_equal(whole.items, cut.items)
    drawn = [
        Known(each).negatives(whole.users, whole.at, 5, np.random.default_rng(0)).tolist() for each in (log, short)
    ]
    assert drawn[0] == drawn[1]
