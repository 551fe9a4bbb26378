import numpy as np

from streams.core.catalogue import Catalogue
from streams.core.history import Trail
from streams.core.memory.expert import Request
from streams.core.memory.exploration import Exploration, _noise
from streams.core.memory.settings import ListSettings
from streams.core.memory.sizes import Sizes

NOON = 1.7e9


HOW = ListSettings(exploration_pool=20, exploration_enough=3)


def make(items: int = 30) -> tuple[Exploration, Catalogue, Sizes]:
    catalogue = Catalogue(64)
    sizes = Sizes(64, half_life=1e9, past_power=0.5, proposed_power=0.5)
    for item in range(items):
        catalogue.put(f"item {item}", np.eye(64, dtype=np.float32)[item], NOON + item)
    return Exploration(catalogue, sizes), catalogue, sizes


def draw(exploration: Exploration, catalogue: Catalogue, user: str = "ann", at: float = NOON) -> list[int]:
    past = Trail(np.array([29], np.int32), np.zeros(1), np.ones(1, np.float32))
    mark = catalogue.mark(past.slots)
    request = Request(-1, past, 1, at, catalogue.shown, mark)
    return [int(slot) for slot in exploration.draw(request, user, 64, HOW)]


def test_only_the_newest_items_with_few_touches_that_may_be_shown_are_drawn() -> None:
    exploration, catalogue, sizes = make()
    for _ in range(3):
        sizes.add(15, NOON, 1.0)
    catalogue.withdraw("item 20")
    assert set(draw(exploration, catalogue)) == set(range(10, 30)) - {15, 20, 29}


def test_users_and_hours_draw_differently_but_repeat_themselves() -> None:
    exploration, catalogue, _ = make()
    first = draw(exploration, catalogue)
    assert draw(exploration, catalogue) == first
    assert draw(exploration, catalogue, user="bob") != first
    assert draw(exploration, catalogue, at=NOON + 3600) != first


def test_an_item_near_the_taste_comes_first_where_chance_is_small() -> None:
    exploration, catalogue, _ = make()
    nobody = Trail(np.zeros(0, np.int32), np.zeros(0), np.zeros(0, np.float32))
    taste = np.eye(64, dtype=np.float32)[17]
    request = Request(-1, nobody, 0, NOON, catalogue.shown, catalogue.mark(nobody.slots), taste)
    sure = ListSettings(exploration_pool=20, exploration_enough=3, exploration_spread=0.01)
    assert exploration.draw(request, "ann", 1, sure).tolist() == [17]


def test_the_noise_is_about_normal() -> None:
    noise = _noise(12345, np.arange(100_000, dtype=np.int32))
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
