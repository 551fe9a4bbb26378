"""With an epsilon, the log that everybody learns from holds made-up touches, and the user's own row none."""

from collections import Counter
from random import Random

import msgspec

from streams.core.memory.deniability import Deniability
from streams.events import Learned
from streams.replica import INTERACTIONS
from tests.pipeline.test_pipeline import FILMS, World


async def test_what_everybody_learns_may_be_made_up_and_the_users_own_list_is_of_what_they_did() -> None:
    world = World()
    world.pipeline.deniability = Deniability(0.01, Random(3))
    await world.open_cinema()
    await world.pipeline.interactions([world.click(f"user {n}", "alien") for n in range(300)])
    messages = [msgspec.json.decode(each.value, type=Learned) for each in world.sink.on(INTERACTIONS)]
    told = Counter(touch.item_id for each in messages for touch in each.touches)
    assert set(told) == set(FILMS) and sum(told.values()) == 300 and told["alien"] < 100
    assert all(touch.lesson is None for each in messages for touch in each.touches)
    assert all(user.history.item_ids == ["alien"] for user in world.store.users.values())
    assert all("alien" not in [item.item_id for item in each.items] for each in world.lists())
