"""The attack on a small log: what is pushed is seen without a defence, and not with all."""

import numpy as np

from streams.core.recommender import RecommenderSettings
from streams.evaluate import attack
from streams.evaluate.log import Log
from streams.evaluate.offline import InProcess
from streams.events import Click


def a_log() -> Log:
    """A hundred people each click twelve of fifty items; ten more items hardly anybody knows."""
    generator = np.random.default_rng(1)
    touches = [
        Click(event_id=f"{user} {step}", ts=1e9 + 600 * user + step, user_id=f"u{user}", item_id=f"i{item}")
        for user in range(100)
        for step, item in enumerate(generator.permutation(50)[:12])
    ]
    return Log("a small town", [f"i{item}" for item in range(60)], touches)


def test_a_push_that_works_without_a_defence_works_less_with_all() -> None:
    log = a_log()
    plain = attack.measure(log, "none", RecommenderSettings(), targets=1)
    strict = RecommenderSettings(repeats_counted=1, touches_a_minute=30, newcomers_wait=5)
    defended = attack.measure(log, "all", strict, targets=1)
    assert plain.before < plain.flood and plain.before < plain.ring
    assert defended.flood < plain.flood / 2 and defended.ring < plain.ring / 2
    assert [row[0] for row in attack.sheet([plain, defended]).rows] == ["none", "all"]


def test_what_is_attacked_has_learned_what_lists_teach() -> None:
    log, settings = a_log(), RecommenderSettings()
    _, attacked = attack._learned(log, settings)
    served = InProcess(log.items, log.touches[0].ts, settings)
    for touch in log.touches:
        served.recommend(touch.user_id, touch.ts, attack.K)
        served.learn(touch.user_id, touch.item_id, touch.ts)
    at = log.touches[-1].ts
    one, other = (each.recommender.recommend(each.view("u1"), at, attack.K) for each in (attacked, served))
    assert one == other
