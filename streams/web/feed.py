"""Refreshed lists as workers publish them, for those who wait for them."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from streams.events import Recommendations, reading
from streams.web.answers import Activity, Refreshed

REMEMBERED = 40

_decode = reading(Recommendations)


class _Brief(Struct):
    """As much of a list as everybody's needs reading for."""

    user_id: str
    list_version: int
    published_at: float
    emitted_at: float
    event_ids: list[str]


_glance = reading(_Brief)


class Subscription:
    """The lists of one user. Whoever reads slowly misses those that were outdated meanwhile."""

    def __init__(self) -> None:
        self._newest: Recommendations | None = None
        self._changed = asyncio.Event()
        self._version = 0
        self._closed = False

    def put(self, each: Recommendations) -> None:
        """A list has been published."""
        if each.list_version >= self._version:
            self._newest, self._version = each, each.list_version
            self._changed.set()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._newest = None
        self._changed.set()

    async def next(self) -> Recommendations | None:
        """The newest list not given yet, never an older one than before; None once there will be no more."""
        while not self._closed:
            await self._changed.wait()
            self._changed.clear()
            newest, self._newest = self._newest, None
            if newest is not None:
                return newest
        return None


class Feed:
    """Tells every list that is published to those who subscribed to its user.

    on_list  called with the user of each
    """

    def __init__(self, on_list: Callable[[str], None] = lambda user_id: None) -> None:
        self._on_list = on_list
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._recent: deque[_Brief] = deque(maxlen=REMEMBERED)

    def __len__(self) -> int:
        return sum(map(len, self._subscriptions.values()))

    def take(self, value: bytes) -> None:
        """The value of one message of `recommendations`. Raises Rejected."""
        brief = _glance(value)
        self._recent.appendleft(brief)
        self._on_list(brief.user_id)
        if waiting := self._subscriptions.get(brief.user_id):
            each = _decode(value)
            for subscription in waiting:
                subscription.put(each)

    def forget(self, user_id: str) -> None:
        """Tell nobody of this user's lists so far."""
        kept = [each for each in self._recent if each.user_id != user_id]
        self._recent = deque(kept, maxlen=REMEMBERED)

    @contextmanager
    def subscribe(self, user_id: str) -> Iterator[Subscription]:
        """Hear of a user's lists meanwhile."""
        subscription = Subscription()
        ours = self._subscriptions.setdefault(user_id, set())
        ours.add(subscription)
        try:
            yield subscription
        finally:
            ours.discard(subscription)
            if not ours:
                del self._subscriptions[user_id]

    def close(self) -> None:
        """Let everybody who waits go."""
        for subscription in [each for ours in self._subscriptions.values() for each in ours]:
            subscription.close()

    def activity(self) -> Activity:
        """The latest lists, whosever they are."""
        return Activity(
            [
                Refreshed(
                    each.user_id,
                    each.list_version,
                    each.emitted_at,
                    len(each.event_ids),
                    round(max(0.0, each.emitted_at - each.published_at) * 1000, 1),
                )
                for each in self._recent
            ]
        )
