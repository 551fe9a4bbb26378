"""Users that are rebuilt from the log are those that the stream makes of it."""

import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from streams.adapters.cassandra import who
from streams.cli import app
from streams.core.consent import Consent
from streams.core.user import UserState
from streams.core.verification import Log, compare
from streams.events import Click, Event, Forget, Profile, View
from streams.pipeline.policy import Policy
from streams.rebuild import Users, embed_profiles, read_since, write
from streams.verify import replayed
from tests.fakes import FakeEmbedder, FakeStore

NOON = 1.7e9
POLICY = Policy(modality_weights={"fused": 1.0}, dedup_window=32)
ITEMS = {f"film {n}": {"fused": np.eye(4, dtype=np.float32)[n]} for n in range(4)}
LOG = Log(ITEMS.get, set(), True, POLICY.taste_half_life, POLICY.dedup_window)


def event(n: int, kind: str, at: float) -> Event:
    """The n-th; film 4 is not out yet."""
    match kind:
        case "click":
            return Click(event_id=f"e{n}", user_id="ada", item_id=f"film {n % 5}", ts=NOON + at)
        case "view":
            return View(event_id=f"e{n}", user_id="ada", item_id=f"film {n % 5}", ts=NOON + at)
        case "profile":
            return Profile(event_id=f"e{n}", user_id="ada", ts=NOON + at, traits={"age": 20 + n})
        case _:
            return Profile(event_id=f"e{n}", user_id="ada", ts=NOON + at, traits={"age": [[n]]})


def rebuilt(events: Sequence[Event]) -> UserState:
    users = Users(POLICY)
    for each in events:
        users.take(each)
    [user] = users.settled(ITEMS.get)
    return user


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(["click", "view", "profile", "refused"]), st.integers(0, 10**6)),
        min_size=1,
        unique_by=(lambda each: each[0], lambda each: each[2]),
    ),
    st.randoms(use_true_random=False),
)
def test_a_rebuilt_user_is_what_their_events_say_however_often_and_in_whatever_order_they_came(
    drawn: list[tuple[int, str, float]], chance: random.Random
) -> None:
    events = [event(*each) for each in drawn]
    delivered = [*events, *chance.sample(events, len(events) // 2)]
    chance.shuffle(delivered)
    user = rebuilt(delivered)
    user.version = 1
    expected = replayed(events, POLICY)
    if not expected:
        assert not user.known and not len(user.recent_events), "all that they said was refused"
    else:
        assert compare("ada", expected["ada"], user, LOG) is None


def test_what_came_before_a_request_to_forget_or_happened_before_it_is_left_out() -> None:
    forget = Forget(event_id="f", user_id="ada", ts=NOON + 100)
    known_before = [event(0, "click", 10), event(1, "profile", 20), event(2, "click", 200)]
    late, after = event(3, "click", 50), event(6, "click", 150)
    user = rebuilt([*known_before, forget, late, after, forget])
    assert user.history.item_ids == ["film 1"] and user.traits == b"" and user.forgotten_at == NOON + 100
    assert "f" in user.recent_events and "e0" not in user.recent_events


async def test_the_rebuilt_are_stored_below_every_later_version_and_the_forgotten_without_their_names() -> None:
    users = Users(POLICY)
    for each in (event(0, "click", 10), event(1, "profile", 20), Forget(event_id="f", user_id="bob", ts=NOON)):
        users.take(each)
    made = users.settled(ITEMS.get)
    await embed_profiles(made, FakeEmbedder())
    store = FakeStore()
    await write(store, made, epoch=1_000)
    stored = await store.read_users(["ada", "bob"])
    assert stored["ada"].version == 1_001 and stored["ada"].profile is not None
    assert stored["ada"].history.item_ids == ["film 0"]
    assert not stored["bob"].known and stored["bob"].forgotten_at == NOON and "bob" not in store.users


def test_what_a_user_does_not_allow_is_not_rebuilt() -> None:
    objects = Profile(event_id="o", user_id="ada", ts=NOON + 100, profiling=False)
    meanwhile, again = event(4, "click", 150), Profile(event_id="a", user_id="ada", ts=NOON + 200, profiling=True)
    user = rebuilt([event(0, "click", 10), event(1, "profile", 20), objects, meanwhile])
    assert not user.known and not user.consent.profiling
    user = rebuilt([event(0, "click", 10), objects, meanwhile, again, event(6, "click", 250), objects])
    assert user.history.item_ids == ["film 1"] and user.consent.profiling


async def test_an_objection_outlives_the_log_without_the_name_of_who_made_it() -> None:
    users = Users(POLICY, {who("ada"): Consent(profiling=False, at=NOON - 1), who("bob"): Consent(use_profile=False)})
    for each in (event(0, "click", 10), Click(event_id="b", user_id="bob", item_id="film 1", ts=NOON)):
        users.take(each)
    store = FakeStore()
    await write(store, users.settled(ITEMS.get), epoch=1_000)
    stored = await store.read_users(["ada", "bob"])
    assert set(store.users) == {"bob"} and not stored["ada"].consent.profiling
    assert stored["bob"].history.item_ids == ["film 1"] and not stored["bob"].consent.use_profile


def test_a_history_goes_back_as_long_as_is_set_and_no_further() -> None:
    short = msgspec.structs.replace(POLICY, remembered=100.0)
    users = Users(short)
    events = [event(n, "click", at) for n, at in ((0, 10), (1, 190), (2, 290), (3, 150), (6, 291))]
    for each in events:
        users.take(each)
    [user] = users.settled(ITEMS.get)
    user.version = 1
    assert user.history.item_ids == ["film 2", "film 1"] and user.taste.masses["fused"][0] > 4.9
    log = msgspec.structs.replace(LOG, remembered=100.0)
    assert compare("ada", replayed(events, short)["ada"], user, log) is None
    assert compare("ada", replayed(events, POLICY)["ada"], user, LOG) is not None


def test_a_rebuild_may_begin_at_a_time_of_any_zone() -> None:
    assert read_since(["2023-11-14T22:13:20+00:00"]) == read_since(["2023-11-14T23:13:20+01:00"]) == NOON
    assert read_since([]) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["yesterday"], "'yesterday' is neither a time, such as 2026-11-01"),
        (["events.click:3"], "'events.click:3' is neither a time"),
        (["events.click:3:-1"], "'events.click:3:-1' is neither a time"),
        (["events.click:0:5", "2026-11-01"], "'2026-11-01' is neither a time"),
        (["events.forget:0:5"], "begins at a message of events.click, events.view, events.profile"),
    ],
)
def test_where_a_rebuild_cannot_begin_it_is_said_why(given: list[str], said: str) -> None:
    asked = [word for each in given for word in ("--from", each)]
    refused = CliRunner().invoke(app, ["rebuild", *asked], env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert refused.exit_code == 2 and said in refused.output, refused.output
