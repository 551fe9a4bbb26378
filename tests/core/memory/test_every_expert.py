"""The contract that every expert keeps, in a world whose right answers are obvious.

There is no merging of two experts: workers read the same log of interactions in the same order instead, which
gives them the same memory, whereas counts that fade, rows that drop their weakest and places in a session could
only be merged roughly.
"""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

from streams.core.catalogue import HIDDEN, Catalogue
from streams.core.history import Trail
from streams.core.memory.audience import Audience
from streams.core.memory.content import Content
from streams.core.memory.covisits import Closeness, Covisits
from streams.core.memory.embedding import Embedding, Pool
from streams.core.memory.expert import Expert, Request, Scratch
from streams.core.memory.graph import Graph
from streams.core.memory.knowledge import Knowledge
from streams.core.memory.neighbours import Neighbours
from streams.core.memory.popularity import Leaders, Popularity
from streams.core.memory.rows import Rows
from streams.core.memory.sessions import Sessions
from streams.core.memory.sizes import Sizes
from streams.core.memory.stage import Stage

ITEMS = 20
"""Even items are comedies, odd items are dramas; item 19, a drama, is touched by nobody."""
DAY = 86400.0
NOON = 1.7e9
ROOM = 8


class World:
    """Users who touch either comedies or dramas, and one expert that watches them."""

    def __init__(self, make: "Callable[[World], Expert]", capacity: int = 32) -> None:
        self.catalogue = Catalogue(capacity)
        for item in range(ITEMS):
            vector = np.array([1, 0, 0.1] if item % 2 == 0 else [0, 1, 0.1], np.float32)
            self.catalogue.put(f"item {item}", vector / np.float32(np.linalg.norm(vector)), NOON)
        self.scratch = Scratch(capacity)
        self.sessions = Sessions(users=16, length=12)
        self.sizes = Sizes(capacity, half_life=365 * DAY, past_power=0.35, proposed_power=0.3)
        self.expert = make(self)

    def request(self, user: str, at: float, *, comedy: bool = True) -> Request:
        row = self.sessions.open(user)
        trail = self.sessions.trail(row)
        direction = np.array([1, 0, 0] if comedy else [0, 1, 0], np.float32)
        mark = self.catalogue.mark(trail.slots)
        touches = int(self.sessions.steps[row])
        return Request(row, trail, touches, at, self.catalogue.shown, mark, direction, direction)

    def touch(self, user: str, item: int, at: float, *, comedy: bool = True) -> None:
        request = self.request(user, at, comedy=comedy)
        self.sizes.add(item, at, 1.0)
        self.expert.learn(request, item, 1.0)
        self.sessions.add(request.row, item, at, 1.0)

    def live(self) -> None:
        """Ten users each touch eight items of one kind, in rising order."""
        for user in range(10):
            comedy = user % 2 == 0
            for step in range(8):
                item = 2 * ((step + user) % 9) + (0 if comedy else 1)
                self.touch(f"user {user}", item, NOON + user * 600 + step * 20, comedy=comedy)

    def proposals(self, user: str = "visitor", room: int = ROOM) -> dict[int, float]:
        request = self.request(user, NOON + DAY)
        slots, scores = np.zeros(room, np.int32), np.zeros(room, np.float32)
        count = self.expert.propose(request, slots, scores)
        assert len(set(slots[:count].tolist())) == count <= room
        return dict(zip(slots[:count].tolist(), scores[:count].tolist(), strict=True))

    def visit(self) -> None:
        """The visitor touches two comedies."""
        self.touch("visitor", 0, NOON + DAY / 2)
        self.touch("visitor", 2, NOON + DAY / 2 + 20)


def leaders(room: int = 16, capacity: int = 32) -> Leaders:
    return Leaders(capacity, half_life=DAY, room=room)


def rows(world: World) -> Rows:
    return Rows(world.catalogue.capacity, 8, 365 * DAY)


def covisits(
    world: World, name: str, closeness: Closeness, *, one_way: bool = False, held: Rows | None = None
) -> Covisits:
    return Covisits(
        name,
        world.scratch,
        world.sizes,
        held or rows(world),
        learned=closeness,
        spoken=closeness,
        window=8,
        one_way=one_way,
    )


def audience(world: World) -> Expert:
    expert = Audience(leaders(), world.catalogue.capacity, half_life=DAY, considered=16)
    for item in range(ITEMS - 1):  # the leaders are the popularity expert's, which is not here to keep them
        expert._leaders.add(item, NOON, 1.0)
    return expert


def graph(world: World) -> Graph:
    held, knowledge = rows(world), Knowledge(world.scratch)
    edges = covisits(world, "graph", Closeness(steps=3), held=held)
    return Graph(world.scratch, world.sizes, held, edges, knowledge, depth=8, half_life=4, width=6)


def knowledge(world: World) -> Knowledge:
    expert = Knowledge(world.scratch)
    for item in range(ITEMS):
        expert.put(item, ["kind=comedy" if item % 2 == 0 else "kind=drama"])
    return expert


def embedding(world: World) -> Embedding:
    pool = Pool()
    pool.slots = np.arange(ITEMS, dtype=np.int32)
    return Embedding(pool, world.catalogue.capacity, dim=8, depth=8, half_life=8, negatives=8, recent=32, rate=0.3)


EXPERTS: dict[str, Callable[[World], Expert]] = {
    "popular": lambda world: Popularity("popular", leaders()),
    "stage": lambda world: Stage([leaders() for _ in range(6)], finer=1.5),
    "sequence": lambda world: covisits(world, "sequence", Closeness(steps=3), one_way=True),
    "similar": lambda world: covisits(world, "similar", Closeness(steps=3)),
    "moment": lambda world: covisits(world, "moment", Closeness(seconds=60)),
    "neighbours": lambda world: Neighbours(
        world.scratch,
        world.sessions,
        world.sizes,
        world.catalogue.capacity,
        visits=4,
        depth=8,
        recency=4,
        speakers=6,
        nearness=4,
    ),
    "content": lambda world: Content(world.catalogue, exact=1000),
    "audience": audience,
    "embedding": embedding,
    "graph": graph,
    "knowledge": knowledge,
}

PERSONAL = ["sequence", "similar", "moment", "neighbours", "content", "audience", "graph", "knowledge"]


@pytest.fixture(params=EXPERTS)
def world(request: pytest.FixtureRequest) -> World:
    return World(EXPERTS[request.param])


def arrays(thing: Any, met: set[int]) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(thing, np.ndarray):
        yield thing
    elif id(thing) not in met and (hasattr(thing, "__dict__") or isinstance(thing, list)):
        met.add(id(thing))
        for part in thing if isinstance(thing, list) else vars(thing).values():
            yield from arrays(part, met)


def test_nothing_is_proposed_before_anything_was_learned(world: World) -> None:
    if world.expert.name != "content":  # which has nothing to learn
        assert world.proposals() == {}


def test_scores_are_above_zero_and_finite(world: World) -> None:
    world.live()
    world.visit()
    scores = world.proposals().values()
    assert scores
    assert all(0 < score < np.inf for score in scores)


@pytest.mark.parametrize("name", PERSONAL)
def test_a_visitor_who_touches_comedies_is_shown_comedies(name: str) -> None:
    world = World(EXPERTS[name])
    world.live()
    world.visit()
    proposals = world.proposals()
    best = max(proposals, key=lambda item: proposals[item])
    assert best % 2 == 0
    comedies = sum(score for item, score in proposals.items() if item % 2 == 0)
    assert comedies > 0.9 * sum(proposals.values())


def test_what_the_user_touched_and_what_was_withdrawn_is_not_proposed(world: World) -> None:
    world.live()
    world.visit()
    world.catalogue.withdraw("item 4")
    assert not {0, 2, 4} & world.proposals(room=ITEMS).keys()
    assert world.catalogue.shown[4] == HIDDEN


def test_the_same_log_gives_the_same_proposals(world: World, request: pytest.FixtureRequest) -> None:
    twin = World(EXPERTS[request.node.callspec.params["world"]])
    for each in (world, twin):
        each.live()
        each.visit()
    assert world.proposals() == twin.proposals()


def test_a_snapshot_proposes_what_the_original_does(world: World, request: pytest.FixtureRequest) -> None:
    twin = World(EXPERTS[request.node.callspec.params["world"]])
    world.live()
    world.visit()
    twin.sessions.load(world.sessions.users(), world.sessions.state())
    twin.sizes.load(world.sizes.state())
    twin.expert.load(world.expert.state())
    assert twin.proposals() == world.proposals()
    for each in (world, twin):  # and goes on learning alike
        each.touch("visitor", 6, NOON + DAY / 2 + 40)
    assert twin.proposals() == world.proposals()


def test_memory_does_not_grow_with_events(world: World) -> None:
    world.live()
    before = sum(array.nbytes for array in arrays(world.expert, set()))
    for turn in range(5):
        for user in range(40):
            for step in range(6):
                at = NOON + turn * DAY + user
                world.touch(f"user {user}", (user + 2 * step) % ITEMS, at)
    assert sum(array.nbytes for array in arrays(world.expert, set())) == before


def test_a_larger_catalogue_changes_no_proposal(world: World) -> None:
    world.live()
    world.visit()
    before = world.proposals()
    for item in range(ITEMS, 40):
        world.catalogue.ensure(f"item {item}", NOON)
    for part in (world.scratch, world.sizes, world.expert):
        part.resize(world.catalogue.capacity)
    assert world.proposals() == before
    world.touch("visitor", 39, NOON + DAY)  # and the new items can be learned


def test_the_shared_room_for_sums_is_left_clean(world: World) -> None:
    world.live()
    world.visit()
    items = np.array(list(world.proposals()), np.int32)
    world.expert.because(world.request("visitor", NOON + DAY), items)
    assert not world.scratch.totals.any()


@pytest.mark.parametrize("name", [*(name for name in PERSONAL if name != "audience"), "embedding"])
def test_the_reason_is_an_item_of_the_users_past(name: str) -> None:
    world = World(EXPERTS[name])
    world.live()
    world.visit()
    items = np.array([item for item in world.proposals() if item % 2 == 0], np.int32)
    because = world.expert.because(world.request("visitor", NOON + DAY), items)
    assert set(because.tolist()) <= {0, 2}


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled is Python meanwhile, whose lines can be counted."""
    for module in [each for name, each in sys.modules.items() if name.startswith("streams.core.memory.")]:
        for name, function in list(vars(module).items()):
            if hasattr(function, "py_func"):
                monkeypatch.setattr(module, name, function.py_func)


def lines_run(do: Callable[[], object]) -> int:
    """How many of the memory's own."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if "core/memory" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        do()
    finally:
        sys.settrace(before)
    return count


def after(world: World, touches: int) -> Request:
    """Of a user who has touched the same five comedies in turn, so many touches in all."""
    back = np.arange(touches)[::-1]
    trail = Trail((back % 5 * 2).astype(np.int32), NOON + DAY - 20.0 * back, np.ones(touches, np.float32))
    mark = world.catalogue.mark(trail.slots)
    return world.request("visitor", NOON + DAY)._replace(trail=trail, touches=touches, mark=mark)


@pytest.mark.parametrize("name", EXPERTS)
@pytest.mark.usefixtures("interpreted")
def test_an_event_costs_the_same_however_much_its_user_has_touched_before(name: str) -> None:
    def cost(touches: int) -> tuple[int, int, int]:
        world = World(EXPERTS[name])
        with np.errstate(over="ignore"):
            world.live()
            request = after(world, touches)
            expert, slots, scores = world.expert, np.zeros(ROOM, np.int32), np.zeros(ROOM, np.float32)
            learned = lines_run(lambda: expert.learn(request, 18, 1.0))
            proposed = lines_run(lambda: expert.propose(request, slots, scores))
            return learned, proposed, lines_run(lambda: expert.because(request, np.array([18], np.int32)))

    assert cost(150) == cost(1500)
    assert min(cost(150)) > 0, "something is counted"


def test_who_was_forgotten_is_proposed_what_anybody_new_is(world: World) -> None:
    world.live()
    before = world.proposals("user 0")
    world.sessions.forget("user 0")
    assert world.proposals("user 0") == world.proposals("newcomer") != before


@pytest.mark.parametrize("name", [name for name in EXPERTS if name != "neighbours"])
def test_who_was_forgotten_leaves_to_others_what_counts_of_many_say(name: str) -> None:
    world = World(EXPERTS[name])
    world.live()
    world.visit()
    before = world.proposals()
    world.sessions.forget("user 0")
    assert world.proposals() == before


def test_vectors_come_to_tell_the_two_kinds_apart() -> None:
    world = World(embedding)
    for _ in range(8):
        world.live()
    world.visit()
    proposals = world.proposals(room=ITEMS)
    assert {item % 2 for item in sorted(proposals, key=lambda item: -proposals[item])[:5]} == {0}


def test_vectors_score_what_they_are_asked_about_alone() -> None:
    world = World(embedding)
    world.live()
    world.visit()
    assert isinstance(world.expert, Embedding)
    world.expert._pool.slots = np.array([4, 7], np.int32)
    assert world.proposals().keys() == {4, 7}


def test_a_graph_leads_to_what_was_never_touched_together() -> None:
    """0 with 2 by some, 2 with 4 by others: from 0 to 4 there are two steps, and none that is direct."""
    found = {}
    for name in ("similar", "graph"):
        world = World(EXPERTS[name])
        for user, items in (("ann", (0, 2)), ("bob", (2, 4))):
            for step, item in enumerate(items):
                world.touch(user, item, NOON + 20 * step)
        world.touch("visitor", 0, NOON + DAY / 2)
        found[name] = world.proposals().keys()
    assert found == {"similar": {2}, "graph": {2, 4}}
    assert world.expert.because(world.request("visitor", NOON + DAY), np.array([4], np.int32)).tolist() == [0]


def test_a_graph_leads_over_what_is_known_to_items_that_nobody_touched() -> None:
    world = World(graph)
    assert isinstance(world.expert, Graph)
    for item in (2, 19):
        world.expert._knowledge.put(item, ["director=Ann"])
    world.touch("ann", 0, NOON)
    world.touch("ann", 2, NOON + 20)
    world.touch("visitor", 0, NOON + DAY / 2)
    assert world.proposals().keys() == {2, 19}


def test_a_forgotten_user_speaks_no_more_as_a_neighbour() -> None:
    world = World(EXPERTS["neighbours"])
    world.touch("only one", 0, NOON)
    world.touch("only one", 4, NOON + 20)
    world.touch("visitor", 0, NOON + DAY / 2)
    assert world.proposals().keys() == {4}
    world.sessions.forget("only one")
    assert world.proposals() == {}
    world.touch("new one", 6, NOON + DAY / 2 + 20)  # and takes over the place that has become free
    assert world.proposals() == {}


def test_a_rule_points_one_way_and_similarity_both() -> None:
    found = {}
    for name in ("sequence", "similar"):
        world = World(EXPERTS[name])
        world.touch("ann", 0, NOON)
        world.touch("ann", 2, NOON + 20)
        world.touch("visitor", 2, NOON + 60)
        found[name] = world.proposals().keys()
    assert found == {"sequence": set(), "similar": {0}}


def test_a_moment_is_over_after_some_minutes() -> None:
    world = World(EXPERTS["moment"])
    world.touch("ann", 0, NOON)
    world.touch("ann", 2, NOON + 3600)
    world.touch("visitor", 0, NOON + DAY / 2)
    assert world.proposals() == {}


def test_newcomers_are_led_by_newcomers() -> None:
    world = World(EXPERTS["stage"])
    world.live()  # all users begin with items 0 to 18 by their number; nobody begins with item 19
    world.touch("late", 19, NOON + DAY / 2)
    first = world.proposals("newcomer")
    assert 19 in first
    for step in range(11):
        world.touch("old hand", 2 * (step % 9), NOON + DAY / 2 + step)
    assert 19 not in world.proposals("old hand")
