"""Answers that are fresh, stale, outdated, or all there is."""

import asyncio

import pytest

from streams.errors import StoreUnavailable
from streams.web.cache import StaleWhileRevalidate


class Kitchen:
    """Makes numbered answers, when it is allowed to."""

    def __init__(self) -> None:
        self.made = 0
        self.now = 0.0
        self.broken = False
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.cache = StaleWhileRevalidate(self.make, fresh=1, stale=60, if_error=600, size=3, clock=lambda: self.now)

    async def make(self, key: str) -> str:
        self.made += 1
        number = self.made
        await self.may_finish.wait()
        if self.broken:
            raise StoreUnavailable("the kitchen is closed")
        return f"{key} {number}"

    async def get(self, key: str = "a") -> tuple[str, str]:
        kept = await self.cache.get(key)
        return kept.answer, kept.how


async def settled() -> None:
    """Let what goes on in the background end."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def kitchen() -> Kitchen:
    return Kitchen()


async def test_a_fresh_answer_is_given_again(kitchen: Kitchen) -> None:
    assert await kitchen.get() == ("a 1", "made")
    kitchen.now = 0.9
    assert await kitchen.get() == ("a 1", "fresh")


async def test_a_stale_answer_is_given_at_once_while_the_next_is_made(kitchen: Kitchen) -> None:
    await kitchen.get()
    kitchen.now = 30
    kitchen.may_finish.clear()
    assert await kitchen.get() == ("a 1", "stale")
    assert await kitchen.get() == ("a 1", "stale")
    kitchen.may_finish.set()
    await settled()
    assert await kitchen.get() == ("a 2", "fresh")
    assert kitchen.made == 2


async def test_an_old_answer_is_waited_for_anew(kitchen: Kitchen) -> None:
    await kitchen.get()
    kitchen.now = 61
    assert await kitchen.get() == ("a 2", "made")


async def test_an_outdated_answer_is_not_given_again(kitchen: Kitchen) -> None:
    await kitchen.get()
    kitchen.cache.outdate("a")
    assert await kitchen.get() == ("a 2", "made")


async def test_an_answer_begun_before_it_was_outdated_is_not_kept(kitchen: Kitchen) -> None:
    kitchen.may_finish.clear()
    first = asyncio.create_task(kitchen.get())
    await settled()
    kitchen.cache.outdate("a")
    kitchen.may_finish.set()
    assert await first == ("a 1", "made")
    assert await kitchen.get() == ("a 2", "made")


async def test_many_who_ask_at_once_share_one_answer(kitchen: Kitchen) -> None:
    answers = await asyncio.gather(*(kitchen.get() for _ in range(50)))
    assert set(answers) == {("a 1", "made")} and kitchen.made == 1


async def test_where_no_answer_can_be_made_the_last_one_does_for_a_while(kitchen: Kitchen) -> None:
    await kitchen.get()
    kitchen.broken = True
    kitchen.cache.outdate("a")
    kitchen.now = 599
    assert await kitchen.get() == ("a 1", "stale")
    kitchen.now = 601
    with pytest.raises(StoreUnavailable):
        await kitchen.get()


async def test_the_keys_remembered_are_bounded(kitchen: Kitchen) -> None:
    for key in "abcd":
        await kitchen.get(key)
    assert (await kitchen.get("d"))[1] == "fresh"
    assert (await kitchen.get("a"))[1] == "made"
