import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.memory.sessions import Sessions


def test_the_user_seen_longest_ago_makes_room() -> None:
    sessions = Sessions(users=2, length=4)
    for user in ("ann", "bob", "ann", "cat"):
        sessions.add(sessions.open(user), 1, 1.0, 1.0)
    assert sessions.users() == ["ann", "cat"]
    assert sessions.trail(sessions.open("cat")).slots.tolist() == [1]


@given(st.lists(st.integers(0, 50), max_size=30))
@settings(deadline=None)
def test_a_session_holds_the_latest_items_in_time_order(times: list[int]) -> None:
    sessions = Sessions(users=1, length=8)
    row = sessions.open("ann")
    for slot, at in enumerate(times):
        sessions.add(row, slot, float(at), 1.0)
    trail = sessions.trail(row)
    assert trail.times.tolist() == sorted(times)[-8:]
    assert all(times[slot] == at for slot, at in zip(trail.slots, trail.times, strict=True))
    assert sessions.steps[row] == len(times)


def test_a_forgotten_session_is_erased() -> None:
    sessions = Sessions(users=2, length=4)
    row = sessions.open("ann")
    sessions.add(row, 7, 5.0, 1.0)
    sessions.forget("ann")
    assert sessions.find("ann") == -1
    for held in (sessions.slots, sessions.times, sessions.weights, sessions.lengths):
        assert not np.any(held[row])
    assert sessions.forget("ann") == -1
    assert sessions.open("bob") == row
