"""A model has a say in lists as long as it gains, and no longer."""

import numpy as np
import pytest

from streams.core.residual import Figures, Residual, decide, in_canary, standardised

SLOTS = np.arange(20, dtype=np.int32)
GOOD, USELESS, BAD = 1, 2, 3


def play(residual: Residual, version: int, choices: int, skill: float, seed: int = 0) -> None:
    """Lists of 20 proposals, one of which is chosen; a model sees it coming as well as its skill says."""
    generator = np.random.default_rng(seed)
    for _ in range(choices):
        chosen = int(generator.integers(20))
        logits = generator.standard_normal(20).astype(np.float32)
        logits[chosen] += skill
        scores = generator.standard_normal(20).astype(np.float32)
        residual.hold("ann", version, SLOTS, scores, logits)
        residual.choose("ann", chosen)


def test_a_model_begins_without_a_say_and_earns_it() -> None:
    residual, logits = Residual(), np.arange(20, dtype=np.float32)
    assert not residual.addition(GOOD, logits).any()
    play(residual, GOOD, 300, skill=2.0)
    assert residual.figures()[GOOD].mean > 0.1
    added = residual.addition(GOOD, logits)
    assert (np.diff(added) > 0).all() and added[-1] > 0.5


def test_a_model_that_sees_nothing_coming_gets_next_to_no_say() -> None:
    residual = Residual()
    play(residual, USELESS, 2_000, skill=0.0)
    assert residual.figures()[USELESS].weight < 0.15


def test_a_model_that_is_always_wrong_never_gets_one() -> None:
    residual = Residual()
    play(residual, BAD, 300, skill=-2.0)
    assert residual.figures()[BAD].weight == 0.0


def test_a_model_that_no_longer_gains_is_out_and_may_come_back() -> None:
    residual = Residual(rate=0.0)
    play(residual, GOOD, 1, skill=0.0)
    residual._standings[GOOD].weight = 1.0  # as if it had been earned; it cannot move
    play(residual, GOOD, 300, skill=-2.0)
    assert residual.figures()[GOOD].weight == 0.0
    play(residual, GOOD, 1_500, skill=2.0)
    assert residual.figures()[GOOD].weight == 1.0


def test_versions_are_judged_each_by_its_own_lists() -> None:
    residual = Residual()
    play(residual, GOOD, 200, skill=2.0)
    play(residual, BAD, 200, skill=-2.0)
    figures = residual.figures()
    assert figures[GOOD].choices == figures[BAD].choices == 200
    assert figures[GOOD].weight > 0.3 and figures[BAD].weight == 0.0


def test_of_an_item_that_a_model_does_not_know_it_says_nothing() -> None:
    assert standardised(np.array([np.nan, 5.0, 7.0], np.float32)).tolist() == [0.0, -1.0, 1.0]
    assert standardised(np.full(3, np.nan, np.float32)).tolist() == [0.0] * 3
    assert standardised(np.full(3, 2.0, np.float32)).tolist() == [0.0] * 3


def test_a_choice_of_something_else_or_of_a_forgotten_user_counts_for_nothing() -> None:
    residual = Residual()
    scores = np.zeros(20, np.float32)
    residual.hold("ann", GOOD, SLOTS, scores, scores)
    residual.choose("ann", 99)
    residual.hold("ann", GOOD, SLOTS, scores, scores)
    residual.forget("ann")
    residual.choose("ann", 1)
    assert residual.figures() == {}


def test_a_share_of_the_users_is_in_the_canary_and_stays_there() -> None:
    users = [f"user-{number}" for number in range(2_000)]
    tenth = {user for user in users if in_canary(user, 4, 0.1)}
    assert 150 < len(tenth) < 250
    assert tenth < {user for user in users if in_canary(user, 4, 0.5)}
    assert tenth != {user for user in users if in_canary(user, 5, 0.1)}
    assert not any(in_canary(user, 4, 0.0) for user in users) and all(in_canary(user, 4, 1.0) for user in users)


@pytest.mark.parametrize(
    ("canary", "stable", "decision"),
    [
        (Figures(299, 300.0, 400.0, 1.0), None, "wait"),
        (Figures(1_000, 20.0, 5.0, 0.3), Figures(1_000, 0.0, 5.0, 0.3), "promote"),
        (Figures(1_000, 0.0, 5.0, 0.3), Figures(1_000, 20.0, 5.0, 0.3), "roll back"),
        (Figures(1_000, 2.0, 5.0, 0.3), Figures(1_000, 1.0, 5.0, 0.3), "wait"),
        (Figures(5_000, 2.0, 5.0, 0.3), Figures(5_000, 1.0, 5.0, 0.3), "promote"),
        (Figures(5_000, 1.0, 5.0, 0.3), Figures(5_000, 2.0, 5.0, 0.3), "roll back"),
        (Figures(5_000, 0.0, 0.0, 0.0), None, "roll back"),
    ],
)
def test_a_canary_is_promoted_or_rolled_back_by_rule(canary: Figures, stable: Figures | None, decision: str) -> None:
    assert decide(canary, stable, least=300, most=5_000) == decision


def test_a_canary_that_is_no_better_is_hardly_ever_promoted_however_often_somebody_looks() -> None:
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        canary, stable = (generator.normal(0, 0.07, 4_000) for _ in range(2))
        looks = [
            [Figures(n, of[:n].sum(), (of[:n] ** 2).sum(), 0.1) for of in (canary, stable)]
            for n in range(300, 4_001, 100)
        ]
        wrong += any(decide(*each, least=300, most=5_000) == "promote" for each in looks)
    assert wrong <= 10, "5% in either direction, where 1.96 standard errors at each look would find 30 or more"


def test_the_figures_of_two_workers_add_up() -> None:
    assert Figures(1, 0.5, 0.25, 1.0) + Figures(3, 0.5, 0.25, 0.0) == Figures(4, 1.0, 0.5, 0.25)
