import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.history import History
from streams.core.memory.expert import Floats, Slots
from streams.core.memory.snapshot import MAGIC, VERSION
from streams.core.ranking import NOTHING_PASSED
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, Taught, UnknownSnapshot, UserView
from streams.core.served import Served
from streams.core.vectors import Vector

SMALL = RecommenderSettings(
    capacity=64, sessions=32, session_length=16, proposals=16, event_window=50, exploration_share=0.0
)
NOON = 1.7e9
DAY = 86400.0


class Town:
    """A recommender and its users, whose histories it is handed as the stream would."""

    def __init__(self, settings: RecommenderSettings = SMALL, items: int = 20) -> None:
        self.recommender = Recommender(settings)
        self.users: dict[str, UserView] = {}
        self.events = 0
        self.log: list[tuple[Interaction, Taught | None]] = []
        for item in range(items):
            self.recommender.put_item(f"item {item}", None, NOON)

    def user(self, user_id: str) -> UserView:
        return self.users.setdefault(user_id, UserView(user_id, History()))

    def click(self, user_id: str, item: int, at: float, event_id: str | None = None) -> None:
        self.events += 1
        user = self.user(user_id)
        told = None if self.recommender.profile(user_id) is not None else user.profile
        interaction = Interaction(event_id or f"event {self.events}", user_id, f"item {item}", at, 1.0, told)
        taught = self.recommender.judge(self.recommender.rehearsal(), user, interaction)
        self.log.append((interaction, taught))
        self.recommender.learn(interaction, taught)
        user.history.add(interaction.item_id, at, 1.0)

    def live(self) -> None:
        """Users click either even or odd items, in rising order."""
        for user in range(12):
            for step in range(6):
                self.click(
                    f"user {user}",
                    2 * ((step + user) % 9) + user % 2,
                    NOON + 600 * user + 20 * step,
                )

    def listed(self, user_id: str, k: int = 5) -> list[str]:
        scored = self.recommender.recommend(self.user(user_id), NOON + DAY, k)
        return [each.item_id for each in scored]


def test_in_a_world_of_two_kinds_each_user_is_shown_their_own() -> None:
    town = Town()
    town.live()
    for user, kind in (("even", 0), ("odd", 1)):
        for step in range(3):
            town.click(user, 2 * step + kind, NOON + DAY / 2 + 20 * step)
        assert {int(item.removeprefix("item ")) % 2 for item in town.listed(user)} == {kind}
        best = town.recommender.recommend(town.user(user), NOON + DAY, 1)[0]
        assert best.reason in SMALL.experts
        assert best.because is None or best.because in town.user(user).history


def test_a_newcomer_is_shown_what_newcomers_click() -> None:
    town = Town()
    for user in range(8):
        town.click(f"user {user}", 7, NOON + user)
    assert town.listed("newcomer", 1) == ["item 7"]


def test_a_fresh_system_lists_its_items_all_the_same() -> None:
    assert len(set(Town().listed("anyone", 20))) == 20
    assert Recommender(SMALL).recommend(UserView("anyone", History()), NOON) == []


def test_withdrawn_items_return_only_when_they_are_put_again() -> None:
    town = Town()
    town.live()
    town.recommender.withdraw_item("item 4")
    town.recommender.withdraw_item("never heard of")
    assert "item 4" not in town.listed("newcomer", 30)
    town.click("user 0", 4, NOON + DAY / 2)  # a click that was under way does not bring it back
    assert "item 4" not in town.listed("newcomer", 30)
    town.recommender.put_item("item 4", None, NOON + DAY)
    assert "item 4" in town.listed("newcomer", 30)


def test_an_item_may_be_clicked_before_its_upload_is_known() -> None:
    town = Town(items=0)
    town.click("ann", 1, NOON)
    assert town.listed("bob") == ["item 1"]
    assert town.listed("ann") == []


def test_a_redelivered_event_teaches_nothing() -> None:
    once, twice = Town(), Town()
    for town in (once, twice):
        town.live()
        town.click("ann", 3, NOON + DAY / 2, event_id="the one")
    twice.recommender.learn(*twice.log[-1])
    assert twice.recommender.snapshot() == once.recommender.snapshot()


def test_only_so_many_event_ids_are_remembered() -> None:
    town = Town()
    for event in range(3 * SMALL.event_window):
        town.click("ann", event % 20, NOON + event)
    assert len(town.recommender._events) == SMALL.event_window


def test_a_weight_of_zero_teaches_nothing() -> None:
    town = Town()
    before = town.recommender.snapshot()
    town.recommender.learn(Interaction("e", "ann", "item 1", NOON, 0.0))
    assert town.recommender.snapshot() == before


def test_two_workers_that_read_the_same_log_hold_the_same_memory() -> None:
    """Whoever owns the users: one lists, judges and knows their tastes, the other has the log alone."""
    owner, other = Town(), Town()
    taste, profile = np.eye(4, dtype=np.float32)[:2]
    for town in (owner, other):
        for item in range(20):
            town.recommender.put_item(f"item {item}", np.eye(4, dtype=np.float32)[item % 4], NOON)
    for user in range(0, 12, 2):
        owner.user(f"user {user}").taste, owner.user(f"user {user}").profile = taste, profile
    owner.live()
    owner.listed("user 2")
    owner.click("user 2", 11, NOON + DAY)
    for interaction, taught in owner.log:
        other.recommender.learn(interaction, taught)
    assert any(taught for _, taught in owner.log)
    assert other.recommender.snapshot() == owner.recommender.snapshot()
    for user in ("user 1", "user 2", "newcomer"):
        other.users[user] = owner.user(user)
        assert other.listed(user) == owner.listed(user)


def test_the_choices_of_one_batch_are_judged_as_if_each_had_been_learned_at_once() -> None:
    at_once, batched = Town(), Town()
    for town in (at_once, batched):
        town.live()
        town.listed("ann")
    rehearsal, taught = batched.recommender.rehearsal(), []
    for step, item in enumerate((2, 6, 10)):
        at_once.click("ann", item, NOON + DAY + step)
        interaction = at_once.log[-1][0]
        taught.append((interaction, batched.recommender.judge(rehearsal, batched.user("ann"), interaction)))
        batched.user("ann").history.add(interaction.item_id, interaction.at, 1.0)
    for each in taught:
        batched.recommender.learn(*each)
    np.testing.assert_allclose(batched.recommender._ranker.weights, at_once.recommender._ranker.weights, rtol=1e-3)
    assert (rehearsal.ranker.weights != Town().recommender._ranker.weights).any()


def test_who_has_been_served_nothing_is_judged_by_what_there_was_for_them_as_the_batch_began() -> None:
    served, unserved = Town(), Town()
    lessons = []
    for town in (served, unserved):
        town.live()
    served.listed("ann")
    for town in (served, unserved):
        rehearsal, user = town.recommender.rehearsal(), town.user("ann")
        for item in ("item 2", "item 6"):
            interaction = Interaction(item, "ann", item, NOON + DAY, 1.0)
            lessons.append(town.recommender.judge(rehearsal, user, interaction))
            user.history.add(item, NOON + DAY, 1.0)
    for with_list, without in zip(lessons[:2], lessons[2:], strict=True):
        assert with_list is not None and without is not None and with_list.items == without.items
        np.testing.assert_array_equal(with_list.pulls, without.pulls)
    assert unserved.recommender._served.get("ann") is None


def test_nothing_is_said_of_somebody_with_a_history_whose_list_is_not_known() -> None:
    town = Town()
    town.live()
    returned, newcomer = town.user("user 3"), town.user("newcomer")
    for user, judged in ((returned, False), (newcomer, True)):
        interaction = Interaction(f"by {user.user_id}", user.user_id, "item 0", NOON + DAY, 1.0)
        taught = town.recommender.judge(town.recommender.rehearsal(), user, interaction)
        assert (taught is not None) is judged
    town.listed("user 3")
    interaction = Interaction("with a list", "user 3", "item 0", NOON + DAY, 1.0)
    assert town.recommender.judge(town.recommender.rehearsal(), returned, interaction) is not None


def world_where_what_was_shown_tires() -> float:
    """Thirty people choose the first of a list that they were not shown before: how often that is among the first 3."""
    generator = np.random.default_rng(5)
    town = Town(msgspec.structs.replace(SMALL, capacity=256, sessions=64, served=64, experts=("popular",)), items=120)
    for item in range(120):
        town.click(f"first {item % 40}", item, NOON + item)
    shown: dict[str, set[str]] = {}
    hits = []
    for turn in range(1200):
        user = f"user {generator.integers(30)}"
        at = NOON + DAY + 60 * turn
        listed = [each.item_id for each in town.recommender.recommend(town.user(user), at, 30)]
        seen = shown.setdefault(user, set())
        chosen = next((item for item in listed if item not in seen), listed[-1])
        hits.append(chosen in listed[:3])
        seen.update(listed[:10])
        town.click(user, int(chosen.removeprefix("item ")), at)
    return float(np.mean(hits[600:]))


def test_what_was_passed_over_goes_down_where_people_tire_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = world_where_what_was_shown_tires()
    monkeypatch.setattr(Served, "passed", lambda *_: NOTHING_PASSED)
    assert learned > 2 * world_where_what_was_shown_tires()


def test_one_list_is_passed_over_once() -> None:
    town = Town()
    town.live()
    listed = town.listed("ann", 10)
    items = [int(each.removeprefix("item ")) for each in listed]
    for at, item in enumerate(items[:2]):
        town.click("ann", item, NOON + DAY + at)
    passed = town.recommender._served.passed("ann")
    assert dict(zip(passed.slots.tolist(), passed.times.tolist(), strict=True)) == dict.fromkeys(items[2:], 1.0)


def test_a_lesson_of_other_experts_is_passed_over() -> None:
    town = Town()
    before = town.recommender._ranker.weights.copy()
    other = Taught(3, np.ones(4, np.float32), ["item 1"], np.ones(1, np.float32))
    town.recommender.learn(Interaction("e", "ann", "item 1", NOON, 1.0), other)
    np.testing.assert_array_equal(town.recommender._ranker.weights, before)
    assert town.listed("bob", 1) == ["item 1"], "and the interaction itself is learned"


def test_the_ranker_learns_from_the_candidates_that_a_user_was_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Touches after a list are compared with what that list was picked from; nothing is proposed anew."""
    town = Town()
    town.live()
    town.listed("ann")
    before = town.recommender._ranker.weights.copy()
    monkeypatch.delattr(town.recommender._panel.__class__, "propose")
    for item in (2, 4, 6):
        town.click("ann", item, NOON + 10_000 + item)
    assert (town.recommender._ranker.weights != before).any()


def test_a_user_who_was_never_served_teaches_the_ranker_all_the_same() -> None:
    town = Town()
    town.live()
    before = town.recommender._ranker.weights.copy()
    town.click("never served", 4, NOON + 10_000)
    town.click("never served", 6, NOON + 10_020)
    assert (town.recommender._ranker.weights != before).any()


def test_what_a_user_would_like_is_what_their_list_is_made_of_in_its_order() -> None:
    town = Town()
    town.live()
    liked = town.recommender.likings(town.user("user 0"), NOON + DAY)
    assert liked[:5] == town.listed("user 0") and len(liked) > 5
    assert not set(liked) & set(town.user("user 0").history.item_ids)
    assert town.recommender.likings(town.user("newcomer"), NOON + DAY)[0] == town.listed("newcomer")[0]


def test_asking_what_users_would_like_leaves_all_lessons_and_lists_as_they_are() -> None:
    asked, unasked = Town(items=60), Town(items=60)
    for town in (asked, unasked):
        town.live()
        for step in range(40):
            for place, user in enumerate(("served", "never served", f"new at step {step}")):
                if town is asked:
                    town.recommender.likings(town.user(user), NOON + DAY)
                if user == "served":
                    town.listed(user, 20)
                town.click(user, (7 * step + 20 * place) % 60, NOON + DAY + step)
    assert asked.recommender.snapshot() == unasked.recommender.snapshot()
    for user in asked.users:
        assert asked.listed(user, 20) == unasked.listed(user, 20)


def test_a_profile_is_known_once_an_interaction_has_told_it() -> None:
    town = Town()
    profile = np.eye(4, dtype=np.float32)[0]
    assert town.recommender.profile("ann") is None
    town.recommender.learn(Interaction("e1", "ann", "item 1", NOON, 1.0, profile))
    town.recommender.learn(Interaction("e2", "ann", "item 2", NOON, 1.0))
    np.testing.assert_array_equal(town.recommender.profile("ann"), profile)
    town.recommender.forget("ann")
    town.click("ann", 1, NOON)
    assert town.recommender.profile("ann") is None


def test_a_restored_recommender_lists_and_learns_as_the_original() -> None:
    town, copy = Town(), Town()
    town.recommender.put_item("item 0", np.eye(4, dtype=np.float32)[0], NOON, ("comedy", "short"))
    town.recommender.withdraw_item("item 2")
    town.live()
    copy.recommender = Recommender.restore(town.recommender.snapshot(), SMALL)
    copy.users, copy.events = town.users, town.events
    assert copy.recommender.snapshot() == town.recommender.snapshot()
    assert copy.recommender.catalogue.attributes[0] == ("comedy", "short")
    assert copy.listed("user 1") == town.listed("user 1")
    for each in (town.recommender, copy.recommender):
        each.learn(Interaction("later", "user 1", "item 11", NOON + DAY, 1.0))
    assert copy.recommender.snapshot() == town.recommender.snapshot()


def test_a_snapshot_that_cannot_be_read_is_refused_by_name() -> None:
    data = Town().recommender.snapshot()
    with pytest.raises(UnknownSnapshot, match="not a snapshot"):
        Recommender.restore(b"something else", SMALL)
    with pytest.raises(UnknownSnapshot, match=f"version 99, where this code reads version {VERSION}"):
        Recommender.restore(MAGIC + (99).to_bytes(2, "big") + data[len(MAGIC) + 2 :], SMALL)
    with pytest.raises(UnknownSnapshot, match="damaged"):
        Recommender.restore(data[:-10], SMALL)
    wider = msgspec.structs.replace(SMALL, covisit_width=300)
    with pytest.raises(UnknownSnapshot, match=r"covisit_width=256 \(now 300\)"):
        Recommender.restore(data, wider)


def test_forgetting_a_user_leaves_no_session_and_spares_the_others() -> None:
    town = Town()
    town.live()
    town.recommender.forget("user 3")
    town.recommender.forget("nobody")
    data = town.recommender.snapshot()
    assert b"user 3" not in data
    assert b"user 4" in data
    assert len(town.listed("user 4")) == 5


def test_what_is_held_of_a_user_by_name_can_be_told_until_they_are_forgotten() -> None:
    town = Town()
    town.live()
    town.user("ann").profile = np.eye(8, dtype=np.float32)[3]
    for step in range(3):
        town.listed("ann")
        town.click("ann", 2 * step, NOON + DAY + step)
    held = town.recommender.remembered("ann")
    assert held is not None and held.profile is not None
    assert held.session == [(f"item {2 * step}", NOON + DAY + step, 1.0) for step in range(3)] and held.touches == 3
    assert held.profile.tolist() == town.user("ann").profile.tolist()
    town.recommender.forget("ann")
    assert town.recommender.remembered("ann") is None


def test_an_unknown_expert_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'oracle'.*there are popular, trending"):
        Recommender(msgspec.structs.replace(SMALL, experts=("popular", "oracle")))


def test_a_taste_finds_items_that_nobody_clicked() -> None:
    town = Town(items=0)
    for item, vector in enumerate(np.eye(8, dtype=np.float32)):
        town.recommender.put_item(f"item {item}", vector, NOON)
    town.user("ann").taste = np.eye(8, dtype=np.float32)[5]
    best = town.recommender.recommend(town.user("ann"), NOON, 1)[0]
    assert (best.item_id, best.reason) == ("item 5", "content")


def test_an_index_that_is_handed_in_is_asked_for_the_nearest() -> None:
    asked = []

    def nearest(vector: Vector, count: int) -> tuple[Slots, Floats]:
        asked.append(count)
        return np.array([2], np.int32), np.array([0.5], np.float32)

    recommender = Recommender(msgspec.structs.replace(SMALL, content_exact=1), nearest=nearest)
    for item, vector in enumerate(np.eye(4, dtype=np.float32)):
        recommender.put_item(f"item {item}", vector, NOON)
    user = UserView("ann", History(), np.eye(4, dtype=np.float32)[0])
    assert recommender.recommend(user, NOON, 1)[0].item_id == "item 2"
    assert asked == [2 * SMALL.proposals]


def test_a_profile_brings_what_people_alike_clicked() -> None:
    town = Town()
    young, old = np.eye(4, dtype=np.float32)[:2]
    for user in range(20):
        view = town.user(f"user {user}")
        view.profile = young if user % 2 else old
        town.click(view.user_id, 3 if user % 2 else 6, NOON + user)
    alike = msgspec.structs.replace(SMALL, experts=("audience",))
    lists = {}
    for name, profile in (("young", young), ("old", old)):
        only = Town(alike)
        for user_id, view in town.users.items():
            only.users[user_id] = UserView(user_id, History(), None, view.profile)
            only.click(user_id, int(view.history.item_ids[0].removeprefix("item ")), view.history.times[0])
        only.user(name).profile = profile
        # the audience looks at popular items only, which this recommender counts through no other expert
        only.recommender._panel.experts[0]._leaders.add(3, NOON, 1.0)  # type: ignore[attr-defined]
        only.recommender._panel.experts[0]._leaders.add(6, NOON, 1.0)  # type: ignore[attr-defined]
        lists[name] = only.listed(name, 1)
    assert lists == {"young": ["item 3"], "old": ["item 6"]}


def test_exploration_keeps_the_last_places_for_new_items_rounded_down_and_can_be_off() -> None:
    for share, expected in ((0.0, 0), (0.19, 0), (0.2, 1), (0.39, 1)):
        town = Town(msgspec.structs.replace(SMALL, exploration_share=share))
        town.live()
        town.recommender.put_item("brand new", None, NOON + DAY)
        listed = town.recommender.recommend(town.user("newcomer"), NOON + DAY, 5)
        explored = [each.reason for each in listed].count("exploration")
        assert explored == expected
        assert all(each.reason != "exploration" for each in listed[: 5 - expected])
        again = town.recommender.recommend(town.user("newcomer"), NOON + DAY, 5)
        assert again == listed


def test_lists_of_one_moment_may_be_made_by_other_settings_and_teach_the_ranker_the_same() -> None:
    how = msgspec.structs.replace(SMALL, experts=("popular",))
    own, other = Town(), Town()
    for town in (own, other):
        town.live()
        town.recommender.recommend(town.user("user 1"), NOON + DAY, 5, None if town is own else how)
        town.click("user 1", 15, NOON + DAY)
    lessons = [town.log[-1][1] for town in (own, other)]
    assert lessons[0] is not None and lessons[1] is not None
    assert lessons[0].items == lessons[1].items
    np.testing.assert_array_equal(lessons[0].slope, lessons[1].slope)

    made = other.recommender.recommend(other.user("user 1"), NOON + DAY, 5, how)
    assert {each.reason for each in made} == {"popular"}
    assert own.listed("user 1") != [each.item_id for each in made], "all experts know better than popularity"


def test_a_vector_of_another_size_is_refused_by_name() -> None:
    recommender = Recommender(SMALL)
    recommender.put_item("a", np.ones(3, np.float32), NOON)
    with pytest.raises(ValueError, match=r"item 'b': vector of shape \(4,\), where \(3,\) is expected"):
        recommender.put_item("b", np.ones(4, np.float32), NOON)


def test_more_items_than_the_capacity_only_take_more_memory() -> None:
    town = Town(msgspec.structs.replace(SMALL, capacity=4))
    town.live()
    roomy = Town()
    roomy.live()
    assert town.listed("user 1") == roomy.listed("user 1")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("click"), st.integers(0, 5), st.integers(0, 11)),
        st.tuples(st.just("withdraw"), st.just(0), st.integers(0, 11)),
        st.tuples(st.just("put"), st.just(0), st.integers(0, 11)),
        st.tuples(st.just("forget"), st.integers(0, 5), st.just(0)),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 15), st.sampled_from([0.0, 0.3]))
@settings(deadline=None, max_examples=60)
def test_lists_are_full_distinct_unseen_and_listed(story: list[tuple[str, int, int]], k: int, share: float) -> None:
    town = Town(msgspec.structs.replace(SMALL, exploration_share=share), items=12)
    withdrawn: set[str] = set()
    for number, (what, user, item) in enumerate(story):
        item_id = f"item {item}"
        if what == "click":
            town.click(f"user {user}", item, NOON + number % 7 * 100)
        elif what == "withdraw":
            town.recommender.withdraw_item(item_id)
            withdrawn.add(item_id)
        elif what == "put":
            town.recommender.put_item(item_id, None, NOON)
            withdrawn.discard(item_id)
        else:
            town.recommender.forget(f"user {user}")
            town.users.pop(f"user {user}", None)
        listed = town.listed(f"user {user}", k)
        seen = set(town.user(f"user {user}").history.item_ids)
        assert len(set(listed)) == len(listed)
        assert not (seen | withdrawn) & set(listed)
        assert len(listed) == min(k, 12 - len(seen | withdrawn))
