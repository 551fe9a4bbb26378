"""In an obvious world: who likes a maker's items gets the new one, which nobody has touched, and is told why."""

import numpy as np
import pytest
from msgspec import structs

from streams.core.explain import Explanation, explain, sentence
from streams.core.history import History
from streams.core.memory.settings import EXPERTS, KNOWLEDGE
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, Scored, UserView
from streams.core.user import RecentEvents, UserState

NOON = 1.7e9
SETTINGS = RecommenderSettings(capacity=64, sessions=64, exploration_share=0.0, experts=(*EXPERTS, KNOWLEDGE))
KNOWN = {f"film {n}": (f"director={'Ada' if n % 2 else 'Bob'}", "genre=film") for n in range(20)}
NEW = "film 19"  # of Ada's, as all odd ones


def town(settings: RecommenderSettings = SETTINGS, **of_uploads: str) -> Recommender:
    """Twenty films by two directors, of which all but the last are seen by people, each of whom keeps to a director."""
    recommender = Recommender(settings, known={} if of_uploads else KNOWN)
    for item_id in KNOWN:
        attributes = KNOWN[item_id] if of_uploads else ("genre=film",)
        recommender.put_item(item_id, None, NOON, attributes)
    generator = np.random.default_rng(1)
    views = {user: UserView(f"user {user}", History()) for user in range(40)}
    for step in range(400):
        user = int(generator.integers(40))
        film = 2 * int(generator.integers(9)) + user % 2
        interaction = Interaction(f"e{step}", f"user {user}", f"film {film}", NOON + step, 1.0)
        recommender.recommend(views[user], interaction.at)
        taught = recommender.judge(recommender.rehearsal(), views[user], interaction)
        recommender.learn(interaction, taught)
        views[user].history.add(interaction.item_id, interaction.at, 1.0)
    return recommender


def visitor(*item_ids: str) -> UserView:
    return UserView("visitor", History.of([(each, NOON + 500 + n, 1.0) for n, each in enumerate(item_ids)]))


def find(recommender: Recommender, user: UserView, item_id: str) -> tuple[int, Scored]:
    listed = recommender.recommend(user, NOON + 600, 20)
    place = [each.item_id for each in listed].index(item_id)
    return place + 1, listed[place]


@pytest.mark.parametrize("of_uploads", [{}, {"told": "by uploads"}], ids=["file", "uploads"])
def test_a_new_item_of_a_maker_whom_the_user_likes_is_listed_for_that_reason(of_uploads: dict[str, str]) -> None:
    recommender = town(**of_uploads)
    place, found = find(recommender, visitor("film 1", "film 3", "film 5"), NEW)
    assert place == 7, "after the six other films of hers"
    assert (found.reason, found.because, found.shared) == (KNOWLEDGE, "film 5", "director=Ada")
    other, _ = find(recommender, visitor("film 0", "film 2", "film 4"), NEW)
    assert other == 17


def test_without_that_knowledge_it_is_listed_last_and_for_no_reason() -> None:
    ignorant = town(RecommenderSettings(capacity=64, sessions=64, exploration_share=0.0))
    user = visitor("film 1", "film 3", "film 5")
    listed = [each.item_id for each in ignorant.recommend(user, NOON + 600, 17)]
    assert NEW in listed[-2:] and find(ignorant, user, NEW)[1].shared is None


def test_the_explanation_names_what_both_have_in_common() -> None:
    user = UserState("visitor", visitor("film 1", "film 3", "film 5").history, RecentEvents(limit=1))
    recommender = town()
    found = explain(recommender, user, NEW, NOON + 600, weights=lambda _: {}, vectors=lambda _: None, half_life=1.0)
    assert found.reason == KNOWLEDGE and found.shared[0] == "director=Ada"
    assert found.shared_with == found.past[0].item_id
    assert f"it has in common with {found.shared_with}: director Ada" in sentence(found, str)


def test_what_knowledge_adds_is_what_is_lost_without_the_items_that_share_something() -> None:
    recommender, odd = town(), ("film 1", "film 3", "film 5")

    def explained(*past: str) -> Explanation:
        user = UserState("visitor", visitor(*past).history, RecentEvents(limit=1))
        return explain(recommender, user, NEW, NOON + 600, weights=lambda _: {}, vectors=lambda _: None, half_life=1.0)

    found = explained(*odd)
    first = found.past[0]
    weighed = recommender.weigh(
        visitor(*(each for each in odd if each != first.item_id)), NOON + 600, hidden=first.item_id
    )
    row = weighed.slots.tolist().index(recommender.catalogue.slot(NEW))
    assert first.effect == pytest.approx(found.score - weighed.scores[row], abs=1e-5) and first.effect > 0
    place = [*recommender.experts].index(KNOWLEDGE)
    assert weighed.parts[row][place] < found.parts[KNOWLEDGE], "removed, and ranked again"
    assert explained("film 0", "film 2").shared == ["genre=film"]


def test_the_explanation_names_an_item_that_has_something_in_common_though_another_counts_more() -> None:
    recommender = town()
    recommender.put_item("film 18", None, NOON, ["director=Ada"])
    mixed = UserState("visitor", visitor("film 18", "film 1").history, RecentEvents(limit=1))
    found = explain(recommender, mixed, NEW, NOON + 600, weights=lambda _: {}, vectors=lambda _: None, half_life=1.0)
    turned = structs.replace(
        found,
        reason=KNOWLEDGE,
        past=[structs.replace(found.past[0], item_id="film 99", effect=9.0), *found.past],
    )
    assert f"it has in common with {found.shared_with}: director Ada" in sentence(turned, str)
    assert "without your click on film 99" in sentence(turned, str)


def test_what_is_known_changes_with_the_item_and_comes_back_from_a_snapshot() -> None:
    recommender = town()
    assert recommender.shared(NEW, "film 1") == ["director=Ada", "genre=film"]
    restored = Recommender.restore(recommender.snapshot(), SETTINGS, known=KNOWN)
    assert restored.recommend(visitor("film 1"), NOON + 600) == recommender.recommend(visitor("film 1"), NOON + 600)
    recommender.put_item("film 1", None, NOON, ["series=x", "a tag"])
    assert recommender.shared(NEW, "film 1") == ["director=Ada", "genre=film"], "a file knows it still"
    assert recommender.shared("film 0", "never heard of") == []
