"""Answers kept for a moment: fresh, or stale while a new one is made, or stale because none can be made."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, Literal, NamedTuple, TypeVar

from streams.errors import AnabranchError

Answer = TypeVar("Answer")
How = Literal["made", "fresh", "stale"]


class Kept(NamedTuple, Generic[Answer]):
    """An answer and how it came about; `age` in seconds."""

    answer: Answer
    how: How
    age: float


class _Entry(Generic[Answer]):
    def __init__(self, answer: Answer, at: float) -> None:
        self.answer = answer
        self.at = at
        self.outdated = False


class StaleWhileRevalidate(Generic[Answer]):
    """`stale-while-revalidate` and `stale-if-error` of RFC 5861, in one process.

    make        makes the answer to a key anew; raises AnabranchError when it cannot
    fresh       seconds for which an answer is given as it is
    stale       seconds for which it is given at once, while the next is made
    if_error    seconds for which it is given when no other can be made
    size        keys remembered
    clock       seconds, from any start
    """

    def __init__(
        self,
        make: Callable[[str], Awaitable[Answer]],
        *,
        fresh: float = 1.0,
        stale: float = 60.0,
        if_error: float = 600.0,
        size: int = 10_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._make = make
        self._fresh, self._stale, self._if_error, self._size = fresh, stale, if_error, size
        self._clock = clock
        self._entries: OrderedDict[str, _Entry[Answer]] = OrderedDict()
        self._making: dict[str, asyncio.Task[Answer]] = {}

    async def get(self, key: str) -> Kept[Answer]:
        """The answer to a key. Raises what `make` raises where there is none to fall back on."""
        entry = self._entries.get(key)
        age = self._clock() - entry.at if entry else 0.0
        if entry and not entry.outdated and age < self._fresh:
            return Kept(entry.answer, "fresh", age)
        making = self._making.get(key) or self._start(key)
        if entry and not entry.outdated and age < self._stale:
            return Kept(entry.answer, "stale", age)
        try:
            return Kept(await asyncio.shield(making), "made", 0.0)
        except AnabranchError:
            if entry and age < self._if_error:
                return Kept(entry.answer, "stale", age)
            raise

    def outdate(self, key: str) -> None:
        """The answer is known to have changed: it is not given again, but where no other can be made."""
        if entry := self._entries.get(key):
            entry.outdated = True
        self._making.pop(key, None)  # it may have begun before the change

    def forget(self, key: str) -> None:
        """The answer is never given again."""
        self._entries.pop(key, None)
        self._making.pop(key, None)

    def _start(self, key: str) -> asyncio.Task[Answer]:
        task = self._making[key] = asyncio.create_task(self._remake(key))
        task.add_done_callback(lambda done: self._made(key, done))
        return task

    async def _remake(self, key: str) -> Answer:
        at = self._clock()
        answer = await self._make(key)
        if self._making.get(key) is asyncio.current_task():
            self._entries[key] = _Entry(answer, at)
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
        return answer

    def _made(self, key: str, task: asyncio.Task[Answer]) -> None:
        if self._making.get(key) is task:
            del self._making[key]
        if not task.cancelled():
            task.exception()  # whoever waits for it hears of it; nobody else needs to
