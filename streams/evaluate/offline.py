"""A log replayed in this process, test-then-learn: the recommender itself, with any settings, or a baseline."""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from encoders.contract import Question
from encoders.ranker import Ranker, verify
from streams.advice import Advice
from streams.core.baselines import BASELINES, System
from streams.core.evaluation import K
from streams.core.history import History
from streams.core.memory.deniability import Deniability
from streams.core.memory.settings import EMBEDDING, EXPERTS, GRAPH
from streams.core.recommender import Advised, Interaction, Recommender, RecommenderSettings, UserView
from streams.evaluate.log import Log
from streams.events import Click
from streams.ports import Arms, Scorer

OURS = "anabranch"
CLICK = 1.0  # weight of a touch
LATE = (1, 2, 5, 10, 20, 50)  # events that a list does not know yet
WARM_UP = 100  # events whose time is not counted: functions are compiled, files are read

Make = Callable[[Sequence[str]], System]


class Outcome(Struct, frozen=True):
    """What a system listed before each click, and what that took.

    seconds  (n,) of the processor for each click, learning and listing together; empty where it was not measured
    """

    lists: list[list[str]]
    seconds: NDArray[np.float64]


class Shipped(NamedTuple):
    """A version of the deep ranker, and since when it has a say, seconds since the epoch."""

    scorer: Scorer
    since: float

    @classmethod
    def of(cls, folder: Path) -> "Shipped":
        """From when the clicks end that it was trained and judged with. Raises WeightsUnusable."""
        return cls(_Here(folder), float(verify(folder)["window"]["test"][1]))


class _Here:
    """A version in this process."""

    def __init__(self, folder: Path) -> None:
        self._ranker = Ranker(folder)

    async def arms(self) -> Arms:
        return Arms(stable=1)

    async def score(self, version: int, asked: Question) -> NDArray[np.float32]:
        return self._ranker(asked)


class InProcess:
    """The recommender as a worker uses it, without content: no vectors are at hand here.

    held         lists are made right after the user's event before, as a worker does, not when they are asked for
    deniability  what is told of touches; then nothing is taught of how to rank, as in `pipeline.learning`
    shipped      a version of the deep ranker that has a say, as in a worker
    """

    def __init__(
        self,
        items: Sequence[str],
        at: float,
        settings: RecommenderSettings | None = None,
        *,
        held: bool = False,
        deniability: Deniability | None = None,
        shipped: Shipped | None = None,
    ) -> None:
        self.recommender = Recommender(settings or RecommenderSettings())
        for item in items:
            self.recommender.put_item(item, None, at)
        self._users: dict[str, UserView] = {}
        self._held: dict[str, list[str]] | None = {} if held else None
        self._events = 0
        self._deniability = deniability
        self.advice: Advice | None = None
        if shipped is not None:
            self.advice, self._advised_from = Advice(shipped.scorer, least_weight=CLICK), shipped.since
            self.advice.arms = Arms(stable=1)

    def recommend(self, user: str, at: float, k: int) -> list[str]:
        """See `System`."""
        kept = self._held.pop(user, None) if self._held is not None else None
        return kept or self._list(user, at, k)

    def learn(self, user: str, item: str, at: float) -> None:
        """See `System`."""
        if self.advice is not None:
            self.advice.residual.choose(user, self.recommender.catalogue.slot(item))
        self.see(user, item, at, CLICK)

    def see(self, user: str, item: str, at: float, weight: float) -> None:
        """See `System`."""
        view = self.view(user)
        self._events += 1
        if self._deniability is None:
            interaction = Interaction(str(self._events), user, item, at, weight)
            taught = self.recommender.judge(self.recommender.rehearsal(), view, interaction)
            self.recommender.learn(interaction, taught)
        else:
            told = self._deniability.told(item, self.recommender.catalogue)
            self.recommender.learn(Interaction(str(self._events), user, told, at, weight))
        view.history.add(item, at, weight)
        if self._held is not None:
            self._held[user] = self._list(user, at, K)

    def _list(self, user: str, at: float, k: int) -> list[str]:
        advised = self._advised(user, at)
        return [each.item_id for each in self.recommender.recommend(self.view(user), at, k, advised=advised)]

    def _advised(self, user: str, at: float) -> Advised | None:
        if self.advice is None or at <= self._advised_from:
            return None
        return asyncio.run(self.advice.advise(self.recommender, [(self.view(user), at, None)])).get(user)

    def view(self, user: str) -> UserView:
        """The user as they are by now."""
        return self._users.setdefault(user, UserView(user, History()))


class Late:
    """A system whose lists are late: each event is learned only when so many more have happened.

    What delay costs any system, however its lists get out: at 200 events a second one event is 5 ms.
    """

    def __init__(self, system: System, events: int) -> None:
        self._system = system
        self._events = events
        self._underway: deque[Callable[[], None]] = deque()

    def recommend(self, user: str, at: float, k: int) -> list[str]:
        """See `System`."""
        return self._system.recommend(user, at, k)

    def learn(self, user: str, item: str, at: float) -> None:
        """See `System`."""
        self._later(partial(self._system.learn, user, item, at))

    def see(self, user: str, item: str, at: float, weight: float) -> None:
        """See `System`."""
        self._later(partial(self._system.see, user, item, at, weight))

    def _later(self, event: Callable[[], None]) -> None:
        self._underway.append(event)
        if len(self._underway) > self._events:
            self._underway.popleft()()


def systems(
    against: str, log: Log, settings: RecommenderSettings, *, held: bool, versions: Sequence[Path] = ()
) -> dict[str, Make]:
    """Name -> how it is made for a catalogue: ours first, then what it is compared with.

    against   'baselines', 'ablations', 'late' or 'nothing'
    versions  of the deep ranker, each to have a say in a system of its own
    """
    started = log.touches[0].ts if log.touches else 0.0

    def ours(settings: RecommenderSettings, shipped: Shipped | None = None) -> Make:
        return lambda items: InProcess(items, started, settings, held=held, shipped=shipped)

    others: Mapping[str, Make] = {}
    if against == "baselines":
        others = BASELINES
    elif against == "ablations":
        others = {name: ours(each) for name, each in ablations(settings).items()}
    elif against == "late":
        others = {f"late by {events}": _late(ours(settings), events) for events in LATE}
    advised = {f"with {version.name}": ours(settings, Shipped.of(version)) for version in versions}
    return {OURS: ours(settings), **advised, **others}


def _late(make: Make, events: int) -> Make:
    return lambda items: Late(make(items), events)


def ablations(settings: RecommenderSettings) -> dict[str, RecommenderSettings]:
    """The settings with one part at a time taken out, and with each expert more that is not asked by default."""
    changes: dict[str, dict[str, object]] = {
        f"without {expert}": {"experts": tuple(each for each in settings.experts if each != expert)}
        for expert in EXPERTS
        if expert in settings.experts
    }
    for more in (EMBEDDING, GRAPH):
        if more not in settings.experts:
            changes[f"with {more}"] = {"experts": (*settings.experts, more)}
    changes["without what was passed over"] = {"passed": 0}
    changes["without item bias"] = {"ranker_bias_rate": 0.0}
    changes["without gating by history"] = {"ranker_knots": (0.0,)}
    changes["weights not learned"] = {"ranker_rate": 0.0}
    changes["neither weights nor bias learned"] = {"ranker_rate": 0.0, "ranker_bias_rate": 0.0}
    changes["without exploration"] = {"exploration_share": 0.0}
    return {name: structs.replace(settings, **change) for name, change in changes.items()}


def replay(system: System, log: Log, *, view_weight: float, on_click: Callable[[], None] = lambda: None) -> Outcome:
    """Ask for a list before each click, then let the system learn it; views are shown to it, and not judged."""
    lists: list[list[str]] = []
    seconds: list[float] = []
    gc.freeze()  # as a worker does: what is here by now is not to be looked through again and again
    for touch in log.touches:
        if not isinstance(touch, Click):
            system.see(touch.user_id, touch.item_id, touch.ts, view_weight)
            continue
        started = time.thread_time()
        lists.append(system.recommend(touch.user_id, touch.ts, K))
        system.learn(touch.user_id, touch.item_id, touch.ts)
        seconds.append(time.thread_time() - started)
        on_click()
    return Outcome(lists, np.array(seconds[WARM_UP:]))
