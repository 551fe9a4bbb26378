import math
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.catalogue import Catalogue
from streams.core.history import Trail
from streams.core.memory.expert import Request
from streams.core.memory.popularity import Leaders

HALF_LIFE = 100.0
touches = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 1000), st.sampled_from([0.2, 1.0])), min_size=1, max_size=60
)


def top(leaders: Leaders, at: float, room: int = 10) -> dict[int, float]:
    nothing = Trail(np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.float32))
    catalogue = Catalogue(16)
    request = Request(-1, nothing, 0, at, catalogue.shown, catalogue.mark(nothing.slots))
    slots, scores = np.zeros(room, np.int32), np.zeros(room, np.float32)
    count = leaders.top(request, slots, scores)
    return dict(zip(slots[:count].tolist(), scores[:count].tolist(), strict=True))


@given(touches, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_scores_are_faded_sums_whatever_the_order_of_arrival(
    events: list[tuple[int, int, float]], random: Random
) -> None:
    now = 1000.0
    expected = dict.fromkeys({item for item, _, _ in events}, 0.0)
    for item, at, weight in events:
        expected[item] += weight * 0.5 ** ((now - at) / HALF_LIFE)
    random.shuffle(events)
    leaders = Leaders(16, half_life=HALF_LIFE, room=10)
    for item, at, weight in events:
        leaders.add(item, float(at), weight)
    found = top(leaders, now)
    assert found.keys() == expected.keys()
    for item, score in found.items():
        assert math.isclose(score, expected[item], rel_tol=1e-4)


@given(touches)
@settings(deadline=None)
def test_the_leaders_stand_in_order_and_are_the_top_ones(events: list[tuple[int, int, float]]) -> None:
    few, all_of_them = (Leaders(16, half_life=HALF_LIFE, room=room) for room in (4, 10))
    for item, at, weight in events:
        few.add(item, float(at), weight)
        all_of_them.add(item, float(at), weight)
    scores = list(top(all_of_them, 1000.0).values())
    assert scores == sorted(scores, reverse=True)
    # an event can only raise the item it touches, so the few never lose one of the top to an item outside
    assert list(top(few, 1000.0).values()) == scores[:4]


def test_yesterdays_hit_gives_way_to_todays() -> None:
    leaders = Leaders(16, half_life=HALF_LIFE, room=4)
    for _ in range(5):
        leaders.add(1, 0.0, 1.0)
    leaders.add(2, 1000.0, 1.0)
    assert list(top(leaders, 1000.0)) == [2, 1]
