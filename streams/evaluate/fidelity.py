"""Do explanations tell the truth? `anabranch evaluate-explanations`: what they state beside what is measured.

An explanation states what a list's item owes to each past item of its user. Measured is the world in which that click
never happened: the log is replayed without it from its first event, so that nobody's memory has learned from it
either, and the score that is missing then is compared (fidelity by deletion: Samek et al., "Evaluating the
visualization of what a deep neural network has learned", 2017). An explanation leaves the past item out of the
candidates; so does the replay, and beside it one in which the item may be proposed for what others made of it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import spearmanr

from streams.core.explain import explain
from streams.core.history import History
from streams.core.recommender import Interaction, Recommender, RecommenderSettings
from streams.core.taste import Taste
from streams.core.user import RecentEvents, UserState
from streams.datasets.movielens import movielens
from streams.evaluate import log as logs
from streams.evaluate.log import Log
from streams.progress import bars
from streams.reports import Sheet

SEED = 7
LISTED = 10  # items of each list

Effects = NDArray[np.float64]
"""(past items,) of one item explained."""


class Fidelity(Struct, frozen=True):
    """What was stated beside what was measured, over all items explained.

    explained    items, each with as many effects as past items were taken away
    kept         mean rank correlation (Spearman) where memory keeps what it learned from the click, as in service
    replayed     the same where the log was replayed without the click
    proposed     the same where the past item may be proposed then
    first        share of the items whose first past item is the one that counts most, in the replay
    because      the same of the past item that the list itself names, which costs nothing to find
    """

    explained: int
    kept: float
    replayed: float
    proposed: float
    first: float
    because: float


def run(
    downloads: Path, console: Console, *, clicks: int, users: int, past: int, settings: RecommenderSettings
) -> Fidelity:
    """`measure` on the first clicks of MovieLens-100k."""
    log = logs.of_dataset(movielens(downloads), clicks=clicks)
    with bars(console) as bar:
        task = bar.add_task("logs replayed", total=users * past)
        return measure(log, users=users, past=past, settings=settings, on_replay=lambda: bar.advance(task))


def measure(
    log: Log,
    *,
    users: int,
    past: int,
    settings: RecommenderSettings | None = None,
    on_replay: Callable[[], None] = lambda: None,
) -> Fidelity:
    """Explain the lists of so many users at the end of the log, with so many past items each taken away in turn."""
    settings = settings or RecommenderSettings()
    world = _World(log, settings)
    stated: list[Effects] = []
    kept: list[Effects] = []
    replayed: list[Effects] = []
    proposed: list[Effects] = []
    named: list[int] = []
    for user_id in _chosen(log, users, past):
        listed = world.listed(user_id)
        item_ids = [item_id for item_id, _ in listed]
        effects = [world.effects(user_id, item_id, past) for item_id in item_ids]
        touched = list(effects[0])
        now = world.scores(user_id, item_ids)
        aside, never, free = [], [], []
        for other in touched:
            without = _World(log, settings, but=(user_id, other))
            aside.append(now - world.scores(user_id, item_ids, but=other))
            never.append(now - without.scores(user_id, item_ids, but=other))
            free.append(now - without.scores(user_id, item_ids))
            on_replay()
        stated += [np.array([each[other] for other in touched]) for each in effects]
        kept += list(np.array(aside).T)
        replayed += list(np.array(never).T)
        proposed += list(np.array(free).T)
        named += [touched.index(because) if because in touched else -1 for _, because in listed]
    first, most = ([int(each.argmax()) for each in some] for some in (stated, replayed))
    return Fidelity(
        explained=len(stated),
        kept=_agreement(stated, kept),
        replayed=_agreement(stated, replayed),
        proposed=_agreement(stated, proposed),
        first=float(np.mean(np.array(first) == most)),
        because=float(np.mean(np.array(named) == most)),
    )


def sheet(found: Fidelity) -> Sheet:
    """As a table."""
    rows = [
        ["effects of past items, where memory stays as it is: rank correlation (Spearman)", f"{found.kept:.3f}"],
        [
            "effects of past items, where the log is replayed without the click: rank correlation",
            f"{found.replayed:.3f}",
        ],
        [
            "the same, where the past item may be proposed in its turn, for what others made of it",
            f"{found.proposed:.3f}",
        ],
        ["the first of `past` is the item that counts most in the replay", f"{found.first:.0%}"],
        ["so is the item that the list names in `because`, which costs nothing to find", f"{found.because:.0%}"],
    ]
    return Sheet("Stated and measured", (f"{found.explained} items of lists", ""), rows)


def _chosen(log: Log, users: int, past: int) -> list[str]:
    """Users, at random, who have touched at least `past` items."""
    items: dict[str, set[str]] = {}
    for touch in log.touches:
        items.setdefault(touch.user_id, set()).add(touch.item_id)
    able = sorted(user_id for user_id, touched in items.items() if len(touched) >= past)
    return [able[each] for each in np.random.default_rng(SEED).permutation(len(able))[:users]]


class _World:
    """The recommender, and its users, after the log, or after the log without one user's clicks on one item."""

    def __init__(self, log: Log, settings: RecommenderSettings, but: tuple[str, str] | None = None) -> None:
        self._recommender = Recommender(settings)
        self._at = log.touches[-1].ts
        self._histories: dict[str, History] = {}
        for item_id in log.items:
            self._recommender.put_item(item_id, None, log.touches[0].ts)
        for touch in log.touches:
            if (touch.user_id, touch.item_id) == but:
                continue
            user = self._user(touch.user_id)
            view = user.view({})
            interaction = Interaction(touch.event_id, touch.user_id, touch.item_id, touch.ts, 1.0)
            self._recommender.recommend(view, touch.ts, LISTED)  # nothing is learned from a list that nobody had
            taught = self._recommender.judge(self._recommender.rehearsal(), view, interaction)
            self._recommender.learn(interaction, taught)
            user.history.add(touch.item_id, touch.ts, 1.0)

    def listed(self, user_id: str) -> list[tuple[str, str | None]]:
        """The items of the list, and the past item that it names for each."""
        best = self._recommender.recommend(self._user(user_id).view({}), self._at, LISTED)
        return [(each.item_id, each.because) for each in best]

    def effects(self, user_id: str, item_id: str, past: int) -> Mapping[str, float]:
        """Past item -> what the explanation says that the score loses without it."""
        found = explain(
            self._recommender,
            self._user(user_id),
            item_id,
            self._at,
            weights=lambda user: {},
            vectors=lambda item: None,
            half_life=1.0,
            past=past,
        )
        return {each.item_id: each.effect for each in sorted(found.past, key=lambda each: each.item_id)}

    def scores(self, user_id: str, item_ids: Sequence[str], but: str | None = None) -> Effects:
        """The scores of these items for a user; or for the same user without one past item, which is left out."""
        user = self._user(user_id)
        past = zip(user.history.item_ids, user.history.times, user.history.weights, strict=True)
        left = UserState(user_id, History.of(each for each in past if each[0] != but), RecentEvents(limit=1), Taste())
        weighed = self._recommender.weigh(left.view({}), self._at, hidden=but)
        known = dict(zip(weighed.slots.tolist(), weighed.scores.tolist(), strict=True))
        slots = [self._recommender.catalogue.slot(each) for each in item_ids]
        return np.array([known.get(slot, self._recommender.bias(slot)) for slot in slots])

    def _user(self, user_id: str) -> UserState:
        history = self._histories.setdefault(user_id, History())
        return UserState(user_id, history, RecentEvents(limit=1))


def _agreement(stated: Sequence[Effects], measured: Sequence[Effects]) -> float:
    """The mean rank correlation."""
    pairs = zip(stated, measured, strict=True)
    return float(np.mean([spearmanr(one, other).statistic for one, other in pairs]))
