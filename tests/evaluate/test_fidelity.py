"""On a small world: what explanations state is what is measured."""

import msgspec
import numpy as np

from streams.core.recommender import RecommenderSettings
from streams.evaluate import fidelity
from streams.evaluate.log import Log
from streams.evaluate.offline import InProcess
from streams.events import Click


def a_log() -> Log:
    """Users who go through the even or the odd items, from anywhere, and at times through the others."""
    generator = np.random.default_rng(1)
    touches = []
    for step in range(1200):
        user = int(generator.integers(60))
        kind = user % 2 if generator.random() < 0.9 else int(generator.integers(2))
        item = 2 * int(generator.integers(20)) + kind
        touches.append(Click(event_id=f"e{step}", ts=1e9 + 3600 * step, user_id=f"u{user}", item_id=f"i{item}"))
    return Log("a small town", [f"i{item}" for item in range(40)], touches)


def test_what_is_stated_of_past_items_is_what_a_replay_without_them_finds() -> None:
    found = fidelity.measure(a_log(), users=2, past=6)
    assert found.explained == 20
    assert found.kept > 0.99 and found.replayed > 0.8
    assert found.first > found.because
    rows = fidelity.sheet(found).rows
    assert len(rows) == len(msgspec.structs.asdict(found)) - 1


def test_what_is_replayed_has_learned_what_lists_teach() -> None:
    log, settings = a_log(), RecommenderSettings()
    world, served = fidelity._World(log, settings), InProcess(log.items, log.touches[0].ts, settings)
    for touch in log.touches:
        served.recommend(touch.user_id, touch.ts, fidelity.LISTED)
        served.learn(touch.user_id, touch.item_id, touch.ts)
    for user in ("u1", "u2"):
        best = served.recommender.recommend(served.view(user), log.touches[-1].ts, fidelity.LISTED)
        assert world.listed(user) == [(each.item_id, each.because) for each in best]
        scores = world.scores(user, [each.item_id for each in best])
        np.testing.assert_allclose(scores, [each.score for each in best], rtol=1e-5)
