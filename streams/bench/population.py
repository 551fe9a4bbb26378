"""Users and items that are made up, and put where a worker finds them: users in Cassandra, items in their log.

A user has a favourite, and chooses of four items, of which popular ones come oftener (Zipf's law), the one most like
it: 100 times in the past, of which the last 20 are their taste, and with each event. Items are those of
`evaluate.scale`.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from aiokafka import AIOKafkaProducer
from rich.progress import Progress

from streams.adapters import clients
from streams.adapters.cassandra import CassandraStore
from streams.batched import batched
from streams.core.history import History
from streams.core.taste import Taste, Touched, touch
from streams.core.user import RecentEvents, UserState
from streams.core.vectors import Vector, to_bytes
from streams.events import ITEMS, Click, Embedded, encode
from streams.settings import Settings

PAST = 100  # items of a history, the last TASTED of them in the taste
TASTED = 20
KINDS = 500  # of favourites and pasts; users share theirs with others, as making each anew would take hours
CHOICE = 4  # popular items, of which a user takes the one most like their favourite
WRITTEN_AT_ONCE = 500  # about as many as in a batch of a worker that is behind
SEED = 11
DAY = 86_400.0


class Population:
    """The users and items that are stored so far.

    items  id and (DIM,) float32 unit vector of all that there may be
    """

    def __init__(self, settings: Settings, items: Sequence[tuple[str, Vector]]) -> None:
        self.users = self.items = 0
        self._settings = settings
        self._all = items
        self._random = np.random.default_rng(SEED)
        self._clicks = count()

    async def grow(self, users: int, items: int, bar: Progress) -> None:
        """Store what is missing; new items come before the users who know them."""
        await self._announce(self._all[self.items : items], bar)
        self.items = max(self.items, items)
        task = bar.add_task(f"{users:,} users", total=users - self.users)
        settings = self._settings
        store = await CassandraStore.connect(settings.cassandra, dedup_window=settings.worker.dedup_window)
        try:
            for some in batched(self.made(range(self.users, users)), WRITTEN_AT_ONCE):
                await store.write_users(some, {})
                bar.advance(task, len(some))
        finally:
            await store.close()
        self.users = max(self.users, users)

    def click(self) -> Click:
        """Of any user, on what they choose."""
        number, user = next(self._clicks), int(self._random.integers(self.users))
        item, _ = self._chosen(user % KINDS)
        return Click(event_id=f"growth-{number}", ts=time.time(), user_id=f"user-{user}", item_id=item)

    def _chosen(self, kind: int) -> tuple[str, Vector]:
        """Of some popular items the one most like the favourite of this kind of user."""
        _, favourite = self._all[kind % self.items]
        return max((self._all[place] for place in self._popular(CHOICE)), key=lambda item: float(item[1] @ favourite))

    def _popular(self, some: int) -> list[int]:
        """By Zipf's law with exponent 1, each as often as one over its place."""
        places: list[int] = (np.exp(self._random.random(some) * np.log(self.items)) - 1).astype(int).tolist()
        return places

    def made(self, numbers: range) -> Iterator[UserState]:
        """The users of these numbers, as they would be stored."""
        now = time.time()
        kinds = {number % KINDS: self._past(now, number % KINDS) for number in numbers[:KINDS]}
        for number in numbers:
            history, taste = kinds[number % KINDS]
            recent = RecentEvents((f"{number:05}{place:03}".encode()[-8:] for place in range(PAST)), limit=PAST)
            yield UserState(f"user-{number}", history, recent, taste, version=1)

    def _past(self, now: float, kind: int) -> tuple[History, Taste]:
        chosen = [self._chosen(kind) for _ in range(PAST)]
        at = [now - DAY * (PAST - place) / PAST for place in range(PAST)]
        history = History.of((item, moment, 1.0) for (item, _), moment in zip(chosen, at, strict=True))
        touched = [
            Touched({"fused": vector, "text": vector}, 1.0, moment)
            for (_, vector), moment in list(zip(chosen, at, strict=True))[-TASTED:]
        ]
        return history, touch(Taste(), touched, self._settings.worker.taste_half_life_seconds)

    async def _announce(self, items: Sequence[tuple[str, Vector]], bar: Progress) -> None:
        """Put items into the log that workers follow."""
        task = bar.add_task(f"{len(items):,} items more", total=len(items))
        producer = AIOKafkaProducer(**clients.kafka(self._settings.kafka), linger_ms=20, max_batch_size=256 * 1024)
        await producer.start()
        try:
            for item_id, vector in items:
                made = Embedded(
                    item_id=item_id,
                    title=item_id,
                    at=time.time(),
                    vectors=dict.fromkeys(("fused", "text"), to_bytes(vector)),
                )
                await producer.send(ITEMS, encode(made), item_id.encode())
                bar.advance(task)
        finally:
            await producer.stop()
