"""An index answers before its graph is there, and the same things afterwards, whatever changed meanwhile."""

import asyncio
from collections.abc import Callable

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.adapters.deferred import DeferredIndex, Graphs
from streams.adapters.rows import FIRST_ROOM, VectorRows
from streams.core.vectors import Vector, unit

DIM = 8

changes = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 999) | st.none()), max_size=60)
"""A slot each, and the number of the vector that is put there; None takes the item out."""


def vector(number: int) -> Vector:
    return unit(np.random.default_rng(number).standard_normal(DIM).astype(np.float32))


def change(index: DeferredIndex | VectorRows, slot: int, number: int | None, there: dict[int, Vector]) -> None:
    if number is None:
        index.remove(slot)
        there.pop(slot, None)
    else:
        there[slot] = vector(number)
        index.put(slot, there[slot])


def best(there: dict[int, Vector], asked: Vector) -> list[float]:
    return sorted((float(each @ asked) for each in there.values()), reverse=True)


@given(changes, st.integers(0, 40))
def test_rows_find_exactly_the_nearest_of_what_is_there(done: list[tuple[int, int | None]], count: int) -> None:
    rows, there = VectorRows(DIM), dict[int, Vector]()
    for slot, number in done:
        change(rows, slot, number, there)
    asked = vector(1_000)
    slots, cosines = rows.nearest(asked, count)
    np.testing.assert_allclose(cosines, best(there, asked)[:count], atol=1e-6)
    np.testing.assert_allclose(cosines, [there[slot] @ asked for slot in slots.tolist()], atol=1e-6)
    assert len(rows) == len(there)
    among, _ = rows.among(asked, np.arange(20, dtype=np.int32))
    assert sorted(among.tolist()) == sorted(slot for slot in there if slot < 20)
    for slot in range(31):
        found = rows.get(slot)
        assert (found is None) == (slot not in there)
        assert found is None or (found == there[slot]).all()


def test_rows_grow_beyond_their_first_room() -> None:
    rows = VectorRows(DIM)
    for slot in range(2 * FIRST_ROOM + 1):
        rows.put(slot, vector(slot))
    assert len(rows) == 2 * FIRST_ROOM + 1
    for slot in (0, FIRST_ROOM, 2 * FIRST_ROOM):
        assert rows.nearest(vector(slot), 1)[0].tolist() == [slot]


def deferred(worth: int = 1) -> DeferredIndex:
    return DeferredIndex(DIM, asyncio.Event(), worth)


@settings(deadline=None, max_examples=5)
@given(changes, changes, changes)
def test_the_graph_has_what_was_changed_before_during_and_after_it_was_built(
    before: list[tuple[int, int | None]], during: list[tuple[int, int | None]], after: list[tuple[int, int | None]]
) -> None:
    index, there = deferred(), dict[int, Vector]()

    async def scenario() -> None:
        for slot, number in before:
            change(index, slot, number, there)
        building = asyncio.create_task(index.build())
        await asyncio.sleep(0)  # it has begun
        for slot, number in during:
            change(index, slot, number, there)
        await building
        for slot, number in after:
            change(index, slot, number, there)

    asyncio.run(scenario())
    assert index.is_built
    asked = vector(1_000)
    slots, cosines = index.nearest(asked, 50)
    assert sorted(slots.tolist()) == sorted(there)
    np.testing.assert_allclose(cosines, best(there, asked), atol=5e-3)
    among, _ = index.among(asked, np.arange(20, dtype=np.int32))
    assert sorted(among.tolist()) == sorted(slot for slot in there if slot < 20)


def test_it_answers_while_the_graph_is_being_built_and_others_have_their_turn() -> None:
    index = deferred()
    for slot in range(5_000):
        index.put(slot, vector(slot))

    async def scenario() -> int:
        building, answered = asyncio.create_task(index.build()), 0
        while not building.done():
            assert index.nearest(vector(4_321), 1)[0].tolist() == [4_321]
            answered += 1
            await asyncio.sleep(0)
        return answered

    assert asyncio.run(scenario()) > 10
    assert index.is_built
    assert index.nearest(vector(4_321), 1)[0].tolist() == [4_321]


def test_a_build_that_is_cancelled_leaves_the_index_as_it_was_and_no_process_behind() -> None:
    index = deferred()
    for slot in range(20_000):
        index.put(slot, vector(slot % 1_000))

    async def scenario() -> list[psutil.Process]:
        building = asyncio.create_task(index.build())
        while not (builders := building_processes()):  # noqa: ASYNC110 (another process is all there is to see)
            await asyncio.sleep(0)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        return builders

    builders = asyncio.run(scenario())
    assert not any(each.is_running() for each in builders)
    assert not index.is_built
    assert index.wants_graph
    assert len(index.nearest(vector(1), 30)[0]) == 30


def building_processes() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if "streams.adapters.deferred" in each.cmdline()]


def test_where_no_graph_can_be_built_items_are_compared_and_it_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    index = deferred()
    index.put(1, vector(1))
    asyncio.run(index.build())
    assert not index.is_built
    assert not index.wants_graph
    assert index.nearest(vector(1), 1)[0].tolist() == [1]


def test_graphs_are_built_of_what_is_large_once_filled_and_of_what_grows_large_later() -> None:
    graphs = Graphs(DIM, worth=3)
    large, small = graphs.empty(), graphs.empty()

    async def scenario() -> None:
        filled = asyncio.Event()
        building = asyncio.create_task(graphs.build(filled))
        for slot in range(3):
            large.put(slot, vector(slot))
        small.put(0, vector(0))
        await asyncio.sleep(0)
        assert not large.is_built
        filled.set()
        await until(lambda: large.is_built)
        assert not small.is_built
        small.put(1, vector(1))
        small.put(2, vector(2))
        await until(lambda: small.is_built)
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)

    asyncio.run(scenario())
    assert large.nearest(vector(2), 1)[0].tolist() == [2]
    assert small.nearest(vector(2), 1)[0].tolist() == [2]


async def until(it_is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not it_is_so():  # noqa: ASYNC110 (an index tells nobody)
            await asyncio.sleep(0)
