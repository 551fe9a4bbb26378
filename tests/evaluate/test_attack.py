"""The attack on a small log: what is pushed is seen without a defence, and not with all."""

import numpy as np

from streams.core.recommender import RecommenderSettings
from streams.evaluate import attack
from streams.evaluate.log import Log
from streams.events import Click


def test_a_push_that_works_without_a_defence_works_less_with_all() -> None:
    """A hundred people each click twelve of fifty items; ten more items hardly anybody knows."""
    generator = np.random.default_rng(1)
    touches = [
        Click(event_id=f"{user} {step}", ts=1e9 + 600 * user + step, user_id=f"u{user}", item_id=f"i{item}")
        for user in range(100)
        for step, item in enumerate(generator.permutation(50)[:12])
    ]
    log = Log("a small town", [f"i{item}" for item in range(60)], touches)
    plain = attack.measure(log, "none", RecommenderSettings(), targets=1)
    strict = RecommenderSettings(repeats_counted=1, touches_a_minute=30, newcomers_wait=5)
    defended = attack.measure(log, "all", strict, targets=1)
    assert plain.before < plain.flood and plain.before < plain.ring
    assert defended.flood < plain.flood / 2 and defended.ring < plain.ring / 2
    assert len(attack.sheet([plain, defended]).rows) == 2
