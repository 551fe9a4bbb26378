"""Neither a flood from one account nor a ring of new ones decides what everybody is shown."""

import numpy as np
import pytest

from streams.core.history import History, Trail
from streams.core.memory.defence import counted
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, UnknownSnapshot, UserView
from streams.settings import load

NOON = 1.7e9


def settings(**changes: float) -> RecommenderSettings:
    """Undefended, but for these."""
    return RecommenderSettings(
        capacity=64,
        sessions=256,
        session_length=32,
        proposals=40,
        exploration_share=0.0,
        **{"repeats_counted": 0} | changes,  # type: ignore[arg-type]
    )


class Town:
    """Thirty people each click ten of the first twelve items, the first ones more."""

    def __init__(self, **changes: float) -> None:
        self.recommender = Recommender(settings(**changes))
        self.clicks = 0
        for item in range(20):
            self.recommender.put_item(f"item {item}", None, NOON)
        for user in range(30):
            for step in range(10):
                self.click(f"user {user}", (step + user // 15) % 12, NOON + 300 * user + 20 * step)

    def click(self, user: str, item: int, at: float) -> None:
        self.clicks += 1
        self.recommender.learn(Interaction(f"e{self.clicks}", user, f"item {item}", at, 1.0))

    def place(self, item: int) -> int:
        """Of the item in a newcomer's list, from 1."""
        best = self.recommender.recommend(UserView("newcomer", History()), NOON + 20_000, 20)
        return [each.item_id for each in best].index(f"item {item}") + 1

    def flood(self) -> None:
        for step in range(200):
            self.click("flooder", 19, NOON + 10_000 + step)

    def ring(self) -> None:
        for account in range(60):
            self.click(f"ring {account}", 19, NOON + 10_000 + account)


def test_without_a_defence_a_flood_and_a_ring_bring_an_item_to_the_top() -> None:
    for attack in (Town.flood, Town.ring):
        town = Town()
        assert town.place(19) > 10
        attack(town)
        assert town.place(19) <= 3


@pytest.mark.parametrize("defence", [{"repeats_counted": 1}, {"touches_a_minute": 1}])
def test_a_flood_is_damped(defence: dict[str, float]) -> None:
    plain, town = Town(), Town(**defence)
    plain.flood()
    town.flood()
    assert town.place(19) > plain.place(19) + 2


def test_a_ring_of_new_accounts_is_damped() -> None:
    town = Town(newcomers_wait=5)
    before = town.place(19)
    town.ring()
    assert town.place(19) == before


def test_the_share_falls_with_the_rate_and_newcomers_wait() -> None:
    busy = Trail(np.arange(10, dtype=np.int32), NOON + np.arange(10.0), np.ones(10, np.float32))
    assert counted(busy, 10, 99, NOON + 10, settings(touches_a_minute=5)) == pytest.approx(5 / 11)
    assert counted(busy, 10, 99, NOON + 600, settings(touches_a_minute=5)) == 1.0
    assert [counted(busy, steps, 99, NOON, settings(newcomers_wait=4)) for steps in (0, 3, 4)] == [0.0, 0.0, 1.0]


def test_without_a_defence_every_touch_counts_and_a_flood_is_damped_unless_told() -> None:
    assert not settings().defends and settings(touches_a_minute=1).defends
    assert RecommenderSettings().repeats_counted == load().recommender.repeats_counted == 1


def test_what_is_not_counted_still_is_the_users_own_past() -> None:
    """Their own session goes on, so that later repeats are known; only the others do not learn."""
    town = Town(repeats_counted=1)
    town.click("flooder", 19, NOON + 10_000)
    once = town.recommender._panel.sizes.amounts.copy()
    town.click("flooder", 19, NOON + 10_001)
    np.testing.assert_array_equal(town.recommender._panel.sizes.amounts, once)
    assert len(town.recommender._sessions.trail(town.recommender._sessions.find("flooder")).slots) == 2


def test_a_snapshot_of_another_defence_is_not_gone_on_from() -> None:
    with pytest.raises(UnknownSnapshot, match="newcomers_wait"):
        Recommender.restore(Town().recommender.snapshot(), settings(newcomers_wait=5))
