"""What a worker holds is bounded: once its windows are full, events leave nothing behind."""

import gc
import random
import sys
from collections.abc import Sequence

import msgspec

from streams.core.live_quality import LiveQuality
from streams.ports import Outgoing
from tests.pipeline.test_fuzz import Encoding
from tests.pipeline.test_pipeline import FILMS, NOW, Loop, World

USERS = 4
HISTORY = 1_000  # touches of one user that are remembered
WINDOW = 500


class Keeping(Loop):
    """Keeps nothing of what was published."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        await self.bring_back(messages)


async def test_once_windows_are_full_events_leave_nothing_behind() -> None:
    world = World(Encoding())
    world.pipeline.sink = world.sink = Keeping()
    world.sink.replica = world.replica
    policy = world.pipeline.policy
    world.pipeline.policy = msgspec.structs.replace(policy, dedup_window=WINDOW)
    world.pipeline.lists.quality = LiveQuality(window=WINDOW, users=USERS)
    recommender = world.replica.recommender
    recommender.settings = msgspec.structs.replace(recommender.settings, event_window=WINDOW)
    await world.open_cinema()
    chance = random.Random(1)

    async def clicks(count: int) -> int:
        """Handle so many; what is allocated afterwards."""
        for _ in range(count // 50):
            people = [(f"u{chance.randrange(USERS)}", chance.choice(list(FILMS))) for _ in range(50)]
            await world.pipeline.interactions(
                [world.click(user, film, ts=NOW - 1e6 + world.sent) for user, film in people]
            )
        gc.collect()
        return sys.getallocatedblocks()

    before = await clicks(USERS * HISTORY + 2 * WINDOW)
    after = await clicks(4_000)
    assert after - before < 400, "less than a tenth of an object for an event"
