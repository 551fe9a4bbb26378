"""Explanations are checked by what they say would happen: a user without that evidence is ranked for."""

from collections.abc import Mapping

import numpy as np
import pytest
from msgspec import structs
from scipy.stats import spearmanr

from streams.core.attention import Background, modality_weights
from streams.core.explain import BIAS, PASSED, Explanation, Unexplained, explain, sentence
from streams.core.history import History
from streams.core.memory.settings import EXPERTS
from streams.core.recommender import Interaction, Recommender, RecommenderSettings
from streams.core.user import RecentEvents, Touch, UserState, apply, settle, without
from streams.core.vectors import Vector, unit

NOON = 1.7e9
DAY = 86_400.0
HALF_LIFE = 7 * DAY
SETTINGS = RecommenderSettings(capacity=64, sessions=64, session_length=16, proposals=40, exploration_share=0.0)
BASE = {"text": 1.0, "image": 1.0}
ITEMS = 30


class Town:
    """Thirty items of three kinds, each alike in words and pictures; users who keep to a kind, most of the time."""

    def __init__(self, settings: RecommenderSettings = SETTINGS) -> None:
        generator = np.random.default_rng(3)
        kinds = generator.standard_normal((3, 2, 8))
        self.items: dict[str, dict[str, Vector]] = {}
        self.recommender = Recommender(settings)
        self.background = Background()
        self.users: dict[str, UserState] = {}
        self.events: list[tuple[str, str, float]] = []
        for item in range(ITEMS):
            noise = 0.7 * generator.standard_normal((2, 8))
            text, image = (unit(each.astype(np.float32)) for each in kinds[item % 3] + noise)
            vectors = {"text": text, "image": image, "fused": unit(text + image)}
            self.items[f"item {item}"] = vectors
            self.background.add(vectors)
            self.recommender.put_item(f"item {item}", vectors["fused"], NOON)
        for step in range(400):
            user = int(generator.integers(40))
            kind = user % 3 if generator.random() < 0.8 else int(generator.integers(3))
            self.click(f"user {user}", f"item {3 * int(generator.integers(ITEMS // 3)) + kind}", NOON + 60 * step)

    def click(self, user_id: str, item_id: str, at: float) -> None:
        user = self.users.setdefault(user_id, blank(user_id))
        interaction = Interaction(f"event {len(self.events)}", user_id, item_id, at, 1.0)
        view = user.view(self.weights(user))
        taught = self.recommender.judge(self.recommender.rehearsal(), view, interaction)
        self.recommender.learn(interaction, taught)
        apply(user, interaction.event_id, Touch(item_id, at, 1.0))
        settle(user, self.items.get, HALF_LIFE)
        self.events.append((user_id, item_id, at))

    def weights(self, user: UserState) -> Mapping[str, float]:
        return modality_weights(user.taste, self.background, BASE)

    def explain(self, user: UserState, item_id: str) -> Explanation:
        return explain(
            self.recommender,
            user,
            item_id,
            NOON + DAY,
            weights=self.weights,
            vectors=self.items.get,
            half_life=HALF_LIFE,
        )

    def listed(self, user: UserState, k: int = 10) -> list[tuple[str, float]]:
        best = self.recommender.recommend(user.view(self.weights(user)), NOON + DAY, k)
        return [(each.item_id, each.score) for each in best]

    def listed_without(self, item_id: str, user: UserState) -> list[tuple[str, float]]:
        """The whole list while that item is withdrawn."""
        self.recommender.withdraw_item(item_id)
        try:
            return self.listed(user, ITEMS)
        finally:
            self.recommender.put_item(item_id, self.items[item_id]["fused"], NOON)

    def as_if_never(self, user_id: str, item_id: str) -> UserState:
        """The user, made from their events anew, but for those of one item."""
        user = blank(user_id)
        for number, (who, item, at) in enumerate(self.events):
            if who == user_id and item != item_id:
                apply(user, str(number), Touch(item, at, 1.0))
                settle(user, self.items.get, HALF_LIFE)
        return user


def blank(user_id: str) -> UserState:
    return UserState(user_id, History(), RecentEvents(limit=100))


@pytest.fixture(scope="module")
def town() -> Town:
    return Town()


def someone(town: Town) -> UserState:
    return max(town.users.values(), key=lambda user: len(user.history))


def test_the_parts_sum_to_the_score_that_the_list_has(town: Town) -> None:
    user = someone(town)
    for place, (item_id, score) in enumerate(town.listed(user), 1):
        each = town.explain(user, item_id)
        assert each.place == place
        assert sum(each.parts.values()) == pytest.approx(each.score) == pytest.approx(score, abs=1e-5)
        assert set(each.parts) <= {*EXPERTS, PASSED, BIAS}


def test_the_modalities_sum_to_the_cosine_between_taste_and_item(town: Town) -> None:
    user = someone(town)
    taste = user.view(town.weights(user)).taste
    assert taste is not None
    item_id = town.listed(user)[0][0]
    each = town.explain(user, item_id)
    assert set(each.closeness) == {"text", "image"}
    assert sum(each.closeness.values()) == pytest.approx(float(taste @ town.items[item_id]["fused"]), abs=1e-5)


def test_without_a_click_the_item_stands_where_the_explanation_said(town: Town) -> None:
    """The counterfactual, against the list of a user whose events were replayed without that click."""
    user = someone(town)
    item_id = town.listed(user)[3][0]
    for past in town.explain(user, item_id).past:
        other = town.as_if_never(user.user_id, past.item_id)
        listed = town.listed_without(past.item_id, other)
        place = [each for each, _ in listed].index(item_id)
        assert past.place == place + 1
        assert town.explain(user, item_id).score - past.effect == pytest.approx(listed[place][1], abs=1e-4)


def test_what_an_expert_is_said_to_add_is_what_is_missing_without_it() -> None:
    """Measured by asking all but one: the rank correlation of what was stated and measured is that of equals."""
    town = Town()
    user = someone(town)
    stated, measured = [], []
    for item_id, _ in town.listed(user):
        parts = town.explain(user, item_id).parts
        for place, expert in enumerate(town.recommender.experts):
            asked = town.recommender._panel.experts[place]
            town.recommender._panel.experts[place] = Silent(expert)
            left = town.explain(user, item_id)
            town.recommender._panel.experts[place] = asked
            stated.append(parts.get(expert, 0.0))
            measured.append(sum(parts.values()) - left.score)
    assert spearmanr(stated, measured).statistic > 0.99
    np.testing.assert_allclose(stated, measured, atol=1e-5)


class Silent:
    """An expert that proposes nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def propose(self, *_: object) -> int:
        return 0


def test_a_user_without_an_item_is_one_who_never_met_it(town: Town) -> None:
    user = someone(town)
    item_id = user.history.item_ids[-1]
    left, replayed = without(user, item_id, town.items.get, HALF_LIFE), town.as_if_never(user.user_id, item_id)
    assert left.history.item_ids == replayed.history.item_ids
    assert left.taste.as_of == replayed.taste.as_of
    for name, total in replayed.taste.totals.items():
        np.testing.assert_allclose(left.taste.totals[name], total, rtol=1e-4, atol=1e-6)
    assert item_id in user.history, "the user themselves stay as they are"


def test_to_explain_teaches_nothing(town: Town) -> None:
    user = someone(town)
    listed, before = town.listed(user), town.recommender.snapshot()
    town.explain(user, listed[0][0])
    assert town.recommender.snapshot() == before and town.listed(user) == listed


def test_the_sentence_names_the_reason_and_the_click_without_which_it_would_be_otherwise(town: Town) -> None:
    user = someone(town)
    each = town.explain(user, town.listed(user)[0][0])
    said = sentence(each, lambda item_id: item_id.upper())
    assert said.startswith(f"{each.item_id.upper()} has place 1 of {each.candidates}")
    assert f"without your click on {each.past[0].item_id.upper()} it would" in said
    moved = [structs.replace(each.past[0], place=place) for place in (7, 1)]
    lost, kept = (sentence(structs.replace(each, past=[past]), str) for past in moved)
    assert "it would have place 7." in lost and "it would still have place 1." in kept


def test_what_nobody_proposes_is_said_to_be_new(town: Town) -> None:
    fresh = Recommender(SETTINGS)
    fresh.put_item("item 1", None, NOON)
    user = blank("ada")
    each = explain(fresh, user, "item 1", NOON, weights=town.weights, vectors=town.items.get, half_life=HALF_LIFE)
    assert (each.place, each.reason, each.parts, each.past) == (None, "exploration", {}, [])
    assert "new" in sentence(each, str)


@pytest.mark.parametrize("item_id", ["never heard of", "touched"])
def test_what_cannot_be_in_the_list_is_not_explained(town: Town, item_id: str) -> None:
    user = someone(town)
    wanted = user.history.item_ids[0] if item_id == "touched" else item_id
    with pytest.raises(Unexplained, match=wanted):
        town.explain(user, wanted)
