"""A stored user that is what their events make passes; whatever is wrong with one is found and named."""

import copy
import random
from collections.abc import Callable

import numpy as np
import pytest

from streams.core.history import History
from streams.core.user import RecentEvents, Touch, UserState, apply, settle
from streams.core.vectors import Vector
from streams.core.verification import Difference, Log, Replayed, Said, compare

HALF_LIFE = 1_000.0
ITEMS = {
    name: {"fused": np.eye(4, dtype=np.float32)[n], "text": np.eye(4, dtype=np.float32)[3 - n]}
    for n, name in enumerate(("alien", "star", "love", "kiss"))
}
EVENTS = {f"e{n}": Touch(list(ITEMS)[n % 3], 100.0 * n, 1.0 if n % 2 else 0.2) for n in range(1, 30)} | {
    "early": Touch("sequel", 50.0, 1.0)
}
SAID = {"p1": Said(10.0, b'{"age":30}'), "p2": Said(20.0, b'{"age":31}')}
LOG = Log(ITEMS.get, set(), True, HALF_LIFE, dedup_window=64)


def replayed() -> Replayed:
    made = Replayed()
    for event_id, touched in EVENTS.items():
        made.touch(event_id, touched)
    for event_id, said in SAID.items():
        made.say(event_id, said)
    return made


def stored(events: dict[str, Touch] = EVENTS, **history: int) -> UserState:
    """The user as a worker makes them, batch by batch and in an order of its own."""
    user = UserState("ada", History(**history), RecentEvents(limit=LOG.dedup_window), version=7)
    order = list(events.items())
    random.Random(1).shuffle(order)
    for n, (event_id, touched) in enumerate(order):
        apply(user, event_id, touched)
        if n % 4 == 0:
            settle(user, ITEMS.get, HALF_LIFE)
    settle(user, ITEMS.get, HALF_LIFE)
    for event_id in SAID:
        user.recent_events.add(event_id)
    user.profile_at, user.traits = SAID["p2"].at, SAID["p2"].traits
    return user


def test_a_user_whose_events_each_counted_once_in_whatever_order_does_not_differ() -> None:
    assert stored().waiting == [EVENTS["early"]], "the sequel is not out yet"
    assert compare("ada", replayed(), stored(), LOG, versions_end=8) is None


def test_a_repeated_event_counts_once_in_the_replay() -> None:
    twice = replayed()
    for event_id, touched in EVENTS.items():
        twice.touch(event_id, touched)
    assert compare("ada", twice, stored(), LOG) is None


def test_a_user_who_is_missing_has_lost_all_their_events() -> None:
    assert compare("ada", replayed(), None, LOG) == Difference("ada", lost=len(EVENTS) + len(SAID))


def test_events_that_are_lost_doubled_or_unknown_are_counted() -> None:
    user = stored({event_id: touched for event_id, touched in EVENTS.items() if event_id not in ("e3", "e4")})
    user.history.add(EVENTS["e5"].item_id, EVENTS["e5"].at, 1.0)
    user.history.add("kiss", 12_345.0, 1.0)
    difference = compare("ada", replayed(), user, LOG)
    assert difference is not None
    assert (difference.lost, difference.doubled, difference.unknown) == (2, 1, 1)


def doubled_in_the_taste(user: UserState) -> None:
    user.waiting.append(EVENTS["e7"])
    settle(user, ITEMS.get, HALF_LIFE)


def turned(user: UserState) -> None:
    totals: dict[str, Vector] = dict(user.taste.totals)
    totals["text"] = np.roll(totals["text"], 1)
    user.taste = type(user.taste)(totals, user.taste.as_of, user.taste.masses)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (doubled_in_the_taste, "the taste in fused weighs"),
        (turned, "the taste in text is"),
        (lambda user: user.waiting.clear(), "no longer waits"),
        (lambda user: user.waiting.append(Touch("sequel", 1.0, 1.0)), "wait that are not in the log"),
        (lambda user: setattr(user, "traits", b"{}"), "has the profile of"),
        (lambda user: setattr(user, "version", 8), "version 8"),
        (lambda user: setattr(user, "version", 0), "version 0"),
        (lambda user: user.recent_events.add("a stranger's"), "not in the log"),
        (lambda user: setattr(user, "recent_events", RecentEvents(limit=64)), "remembers 0 of its last 32"),
    ],
)
def test_what_is_wrong_is_named(harm: Callable[[UserState], None], named: str) -> None:
    user = stored()
    harm(user)
    difference = compare("ada", replayed(), user, LOG, versions_end=8)
    assert difference is not None and named in str(difference)
    assert (difference.lost, difference.doubled, difference.unknown) == (0, 0, 0)


def test_what_lies_beyond_the_bound_of_a_history_is_not_lost_but_is_in_the_taste() -> None:
    assert compare("ada", replayed(), stored(max_items=10), LOG) is None
    without_the_oldest = {event_id: touched for event_id, touched in EVENTS.items() if event_id != "e1"}
    difference = compare("ada", replayed(), stored(without_the_oldest, max_items=10), LOG)
    assert difference is not None and difference.lost == 0 and "the taste in fused weighs" in str(difference)


def test_vectors_are_not_compared_where_an_item_was_uploaded_again() -> None:
    anew = {**ITEMS, "alien": ITEMS["kiss"]}
    log = Log(anew.get, set(), True, HALF_LIFE, 64)
    assert compare("ada", replayed(), stored(), log) is not None
    assert compare("ada", replayed(), stored(), Log(anew.get, {"alien"}, True, HALF_LIFE, 64)) is None


def test_of_a_log_that_retention_has_shortened_only_what_is_left_must_be_stored() -> None:
    log = Log(ITEMS.get, set(), False, HALF_LIFE, 64)
    later = Replayed({event_id: touched for event_id, touched in EVENTS.items() if touched.at > 1_500}, {})
    assert compare("ada", later, stored(), log) is None
    user = copy.deepcopy(stored())
    user.history.add(EVENTS["e20"].item_id, EVENTS["e20"].at, 1.0)
    difference = compare("ada", later, user, log)
    assert difference is not None and difference.doubled == 1
