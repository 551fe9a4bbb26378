import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.ranking import CLEAREST, Candidates, Passed, Proposals, Ranker


def make(experts: int = 2, **changes: object) -> Ranker:
    chosen: dict[str, object] = {"knots": (0.0, 10.0), "rate": 0.1, "bias_rate": 0.02, "prior": 1.0} | changes
    return Ranker(experts, 100, **chosen)  # type: ignore[arg-type]


def propose(*lists: dict[int, float]) -> Proposals:
    """What each expert proposes: slot -> score."""
    candidates = Candidates(len(lists), 50, 100)
    for expert, proposed in enumerate(lists):
        candidates.counts[expert] = len(proposed)
        candidates.slots[expert, : len(proposed)] = list(proposed)
        candidates.scores[expert, : len(proposed)] = list(proposed.values())
    return candidates.merge()


def choose(ranker: Ranker, proposals: Proposals, touches: int, slot: int) -> None:
    lesson = ranker.judge(proposals, touches, slot, 1.0)
    if lesson is not None:
        ranker.learn(lesson)


def test_items_that_several_experts_propose_are_joined() -> None:
    proposals = propose({3: 1.0, 5: 3.0}, {5: 2.0})
    assert proposals.union.tolist() == [3, 5]
    relative = proposals.features[:, 1::2]
    assert proposals.features.shape[1] == 5
    assert relative.tolist() == pytest.approx(np.array([[1 / 3, 0], [1, 1]]))


def test_the_expert_who_is_right_is_trusted_more() -> None:
    ranker = make()
    for _ in range(50):
        proposals = propose({1: 2.0, 2: 1.0}, {3: 2.0, 4: 1.0})
        choose(ranker, proposals, 5, 3)
        proposals = propose({11: 2.0, 12: 1.0}, {13: 2.0, 14: 1.0})
        choose(ranker, proposals, 5, 13)
    proposals = propose({21: 2.0}, {23: 2.0})  # items without a bias of their own
    best = ranker.best(proposals, 5, 2)
    assert best.slots.tolist() == [23, 21]
    assert best.experts.tolist() == [1, 0]


def test_trust_depends_on_the_length_of_the_history() -> None:
    ranker = make()
    for _ in range(100):
        for touches, right in ((0, 1), (1000, 2)):
            proposals = propose({1: 1.0}, {2: 1.0})
            choose(ranker, proposals, touches, right)
    proposals = propose({11: 1.0}, {12: 1.0})
    assert ranker.best(proposals, 0, 1).slots.tolist() == [11]
    assert ranker.best(proposals, 1000, 1).slots.tolist() == [12]


def test_an_item_that_is_chosen_more_than_its_scores_say_gets_a_bias() -> None:
    ranker = make()
    for _ in range(50):
        proposals = propose({1: 1.0, 2: 1.0})
        choose(ranker, proposals, 5, 2)
    proposals = propose({1: 1.0, 2: 1.0})
    assert ranker.best(proposals, 5, 2).slots.tolist() == [2, 1]


def test_that_an_item_was_passed_over_is_worth_what_choices_say() -> None:
    """Where items that were passed over are never chosen they go down; where they alone are, up."""
    for tire in (True, False):
        ranker = make(1, bias_rate=0.0)
        candidates = Candidates(1, 50, 100)
        for turn in range(100):
            shown = 2 * turn % 60
            candidates.counts[0] = 2
            candidates.slots[0, :2], candidates.scores[0, :2] = (shown, shown + 1), 1.0
            passed = Passed(np.array([shown, 99], np.int32), np.array([4, 7], np.float32))
            proposals = candidates.merge(passed)
            best = ranker.best(proposals, 5, 2).slots.tolist()
            choose(ranker, proposals, 5, shown + 1 if tire else shown)
        assert best == ([shown + 1, shown] if tire else [shown, shown + 1])
        parts = ranker.weigh(proposals, 5)
        assert (parts.parts[:, 1] != 0).tolist() == [True, False], "and the other was not passed over"
        np.testing.assert_allclose(parts.parts.sum(axis=1), ranker.score(proposals, 5), rtol=1e-5)


def test_a_choice_outside_the_candidates_teaches_nothing() -> None:
    ranker = make()
    before = ranker.weights.copy()
    proposals = propose({1: 1.0}, {2: 1.0})
    choose(ranker, proposals, 5, 99)
    np.testing.assert_array_equal(ranker.weights, before)


def test_no_candidates_give_an_empty_list() -> None:
    proposals = propose({}, {})
    assert make().best(proposals, 0, 10).slots.tolist() == []


@given(st.dictionaries(st.integers(0, 99), st.sampled_from([1.0, 2.0, 3.0]), max_size=40), st.integers(0, 12))
@settings(deadline=None)
def test_the_best_come_first_and_equals_in_the_order_of_slots(scores: dict[int, float], length: int) -> None:
    proposals = propose(scores, {})
    found = make().best(proposals, 3, length).slots.tolist()
    assert found == sorted(scores, key=lambda slot: (-scores[slot], slot))[:length]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 300)), max_size=30))
@settings(deadline=None)
def test_weights_stay_finite_and_the_same_log_gives_the_same(choices: list[tuple[int, int]]) -> None:
    rankers = make(), make()
    for ranker in rankers:
        for slot, touches in choices:
            proposals = propose({each: float(each + 1) for each in range(10)}, {each: 1.0 for each in range(5)})
            choose(ranker, proposals, touches, slot)
    assert np.isfinite(rankers[0].weights).all()
    np.testing.assert_array_equal(rankers[0].weights, rankers[1].weights)


def test_a_rehearsal_moves_weights_of_its_own() -> None:
    ranker = make()
    before = ranker.weights.copy()
    rehearsal = ranker.rehearsal()
    lesson = ranker.judge(propose({1: 2.0}, {3: 2.0}), 5, 3, 1.0)
    assert lesson is not None
    rehearsal.rehearse(lesson)
    np.testing.assert_array_equal(ranker.weights, before)
    ranker.learn(lesson)
    np.testing.assert_array_equal(ranker.weights, rehearsal.weights)


def test_a_lesson_is_of_the_clearest_proposals_alone() -> None:
    proposals = propose({slot: float(slot) for slot in range(1, 50)})
    lesson = make(1).judge(proposals, 5, 3, 1.0)
    assert lesson is not None
    assert len(lesson.slots) == CLEAREST
    assert lesson.slots[0] == 3 and lesson.pulls[0] > 0, "the one chosen"
    assert set(lesson.slots[1:].tolist()) == set(range(50 - CLEAREST + 1, 50)), "the strongest of the others"
    assert (lesson.pulls[1:] < 0).all()
