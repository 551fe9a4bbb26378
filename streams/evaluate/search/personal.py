"""What it is worth in a search to know who asks, prequentially: asked before each click for the film clicked next.

A query leaves open which film is meant: its genres, or one word of its plot. The clicked film's place is looked up for
nobody in particular, and for the user as known from the clicks before this one: by their taste, and by what the
recommender, which has learned from all clicks before, would list for them. What these count is chosen on the first 40%
of the clicks and judged on the last half. What it would list for a newcomer tells how much of that is what is liked by
everybody.

In MovieLens nobody clicks a film twice, and the recommender lists none that its user has clicked. So part of what it
gains could be had by anybody who leaves out what the user has seen. To tell, places are looked up a second time, in
answers without these films.

Whoever names a film wants that one, whatever they like. So the same users are given queries about films drawn at
random; of the weights by which none of their kinds loses more than a hundredth the best is chosen.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import chain, cycle, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import Struct, structs

from streams.core.evaluation import K, Ranks, reciprocals
from streams.core.history import History
from streams.core.recommender import UserView
from streams.core.search import analysis
from streams.core.search.fusion import Ranking, fuse
from streams.core.search.question import Question
from streams.core.search.searcher import NEWEST, Document
from streams.core.search.settings import SearchSettings
from streams.core.significance import user_bootstrap
from streams.core.taste import Taste, Touched, touch
from streams.core.vectors import Vector
from streams.datasets.movielens import movielens
from streams.evaluate.offline import InProcess
from streams.evaluate.search.encoded import Encoders
from streams.evaluate.search.films import films
from streams.evaluate.search.judge import figures, interval
from streams.evaluate.search.judge import searcher as searcher_of
from streams.evaluate.search.trial import Trial
from streams.events import Click
from streams.pipeline.policy import Policy
from streams.reports import Sheet

TASTES = (0.125, 0.25, 0.5, 1.0)
LIKINGS = (0.25, 0.5, 1.0, 2.0, 4.0)
TOLERATED = 0.01  # of MRR, that a kind of query about films drawn at random may lose
TUNED_ON, JUDGED_FROM = 0.4, 0.5  # shares of the clicks
EVERY = 5  # of the clicks one is asked for; all are learned from
DEPTH = 100
SEED = 7
LEAST_LETTERS = 5
UNSEEN = "without films seen"
STRANGER = UserView("", History())


class Say(NamedTuple):
    """What counts in an order beside what was asked, see `SearchSettings`.

    stranger  the likings are those of somebody of whom nothing is known
    """

    taste: float = 0.0
    liking: float = 0.0
    stranger: bool = False

    def __str__(self) -> str:
        weights = [f"{name} {weight:g}" for name, weight in (("taste", self.taste), ("liking", self.liking)) if weight]
        if not weights or self.stranger:
            return ", ".join(["nobody in particular", *weights])
        return f"the user, {' and '.join(weights)}"


NOBODY = Say()


class Asked(Struct, frozen=True):
    """A query that somebody might have asked just before a click.

    clicked   whether it is about what they then clicked, and not about a film drawn at random
    at        share of the clicks that came before
    taste     (dim,) float32, unit length, of the clicks before; None for a first click
    likings   ids of what their list would be picked from, best first; `stranger`: of a newcomer's
    seen      ids of what they have clicked before
    wanted    item ids, any of which is right
    """

    kind: str
    clicked: bool
    user: int
    at: float
    question: Question
    taste: Vector | None
    likings: Sequence[str]
    stranger: Sequence[str]
    seen: Sequence[str]
    wanted: Collection[str]


class Places(NamedTuple):
    """Of what is wanted, 0 where it is not among the first: in the answers, and in these without what was seen."""

    all: Ranks
    unseen: Ranks


def personal(folder: Path, downloads: Path, encoders: Encoders) -> list[Sheet]:
    """Places of clicked films, and of films drawn at random, for nobody and for users, in the films of a folder."""
    trial = films(folder, downloads, encoders)
    asked = list(_asked(trial, downloads, encoders))
    chosen = _chosen(trial, [each for each in asked if each.at < TUNED_ON])
    judged = [each for each in asked if each.at >= JUDGED_FROM]
    shipped = Say(SearchSettings().taste, SearchSettings().liking)
    somebody = list(dict.fromkeys([shipped, *chosen]))
    places = places_of(trial, judged, [NOBODY, *somebody])
    sheets = []
    for clicked in (True, False):
        rows = []
        for kind in dict.fromkeys(each.kind for each in judged if each.clicked == clicked):
            these = np.array([each.kind == kind for each in judged])
            users = np.array([each.user for each in judged if each.kind == kind], np.int32)
            systems = [(str(say), found.all, places[NOBODY].all) for say, found in places.items()]
            if clicked:
                systems.append((f"{NOBODY}, {UNSEEN}", places[NOBODY].unseen, places[NOBODY].all))
                systems += [(f"{say}, {UNSEEN}", places[say].unseen, places[NOBODY].unseen) for say in somebody]
            for name, found, beside in systems:
                gain = user_bootstrap(reciprocals(found[these]), reciprocals(beside[these]), users)
                gained = interval(gain) if found is not beside else ""
                rows.append([kind, f"{these.sum():,}", name, figures(found[these]), gained])
        title = (
            f"Clicked films, Recall@1 / Recall@10 / MRR; what is {UNSEEN} beside nobody {UNSEEN}"
            if clicked
            else "The same users asking for films drawn at random, Recall@1 / Recall@10 / MRR"
        )
        sheets.append(Sheet(title, ("asked with", "queries", "for", "place", "MRR gained, 95% interval"), rows))
    return sheets


def _chosen(trial: Trial, tuning: Sequence[Asked]) -> list[Say]:
    """The best of each kind: taste alone, what strangers like, likings alone, both."""
    kinds = [
        [Say(taste) for taste in TASTES],
        [Say(liking=liking, stranger=True) for liking in LIKINGS],
        [Say(liking=liking) for liking in LIKINGS],
        [Say(taste, liking) for taste, liking in product(TASTES, LIKINGS)],
    ]
    places = places_of(trial, tuning, [NOBODY, *chain(*kinds)])
    means = {say: _means(tuning, found.all) for say, found in places.items()}

    def worth(say: Say) -> tuple[float, float]:
        """First how far it keeps within what is tolerated, then what it gains where a click follows."""
        gained = {kind: mean - means[NOBODY][kind] for kind, mean in means[say].items()}
        lost = max(-gain for (clicked, _), gain in gained.items() if not clicked)
        return min(0.0, TOLERATED - lost), sum(gain for (clicked, _), gain in gained.items() if clicked)

    return [max(each, key=worth) for each in kinds]


def _means(asked: Sequence[Asked], ranks: Ranks) -> dict[tuple[bool, str], float]:
    """Whether it is about a click, and kind -> MRR."""
    kinds = [(each.clicked, each.kind) for each in asked]
    found = reciprocals(ranks)
    return {kind: float(found[[each == kind for each in kinds]].mean()) for kind in dict.fromkeys(kinds)}


def _asked(trial: Trial, downloads: Path, encoders: Encoders) -> Iterator[Asked]:
    """In the order of the clicks, some of each kind; a list is shown before each click, which teaches by it."""
    known = {document.item_id: document for document in trial.documents}
    questions = _questions(trial.documents, encoders)
    order = np.random.default_rng(SEED).permutation(len(trial.cases)).tolist()
    cases = cycle([(trial.cases[each], structs.replace(trial.cases[each].question, limit=DEPTH)) for each in order])
    clicks = [event for event in movielens(downloads).activity if isinstance(event, Click) and event.item_id in known]
    system = InProcess([], clicks[0].ts)
    recommender = system.recommender
    for film in trial.documents:
        recommender.put_item(film.item_id, film.vectors.get("fused"), clicks[0].ts, film.attributes)
    tastes: dict[str, Taste] = {}
    numbers: dict[str, int] = {}
    for place, click in enumerate(clicks):
        user = system.view(click.user_id)
        number = numbers.setdefault(click.user_id, len(numbers))
        if place % EVERY == 0:
            likings, stranger = (tuple(recommender.likings(each, click.ts)) for each in (user, STRANGER))
            seen = tuple(user.history.item_ids)
            case, other = next(cases)
            about = [(kind, True, question, {click.item_id}) for kind, question in questions[click.item_id].items()]
            about.append((case.kind, False, other, case.right))
            for kind, clicked, question, wanted in about:
                at = place / len(clicks)
                yield Asked(kind, clicked, number, at, question, user.taste, likings, stranger, seen, wanted)
        system.recommend(click.user_id, click.ts, K)
        system.learn(click.user_id, click.item_id, click.ts)
        met = Touched(known[click.item_id].vectors, 1.0, click.ts)
        half_life = Policy(modality_weights={}).taste_half_life
        tastes[click.user_id] = touch(tastes.get(click.user_id, Taste()), [met], half_life)
        user.taste = tastes[click.user_id].direction()


def _questions(documents: Sequence[Document], encoders: Encoders) -> dict[str, dict[str, Question]]:
    """Film -> kind -> what is asked; no plot, no word of it."""
    generator = np.random.default_rng(SEED)
    words: dict[tuple[str, str], str] = {}
    for document in documents:
        if genres := [each.removeprefix("genre=").lower() for each in document.attributes]:
            words[document.item_id, "its genres"] = " ".join(genres)
        plot = [each for each in analysis.words(document.text) if len(each) >= LEAST_LETTERS]
        if plot:
            words[document.item_id, "a word of its plot"] = str(generator.choice(plot))
    found: dict[str, dict[str, Question]] = {document.item_id: {} for document in documents}
    said = encoders.encode("text", [each.encode() for each in words.values()])
    for ((item_id, kind), typed), (vector, _) in zip(words.items(), said, strict=True):
        found[item_id][kind] = Question(words=typed, vectors={} if vector is None else {"text": vector}, limit=DEPTH)
    return found


def places_of(trial: Trial, asked: Sequence[Asked], says: Sequence[Say]) -> dict[Say, Places]:
    """Where what is wanted is found, if so much is known of who asks."""
    searcher = searcher_of(trial, SearchSettings())
    ids = np.array([document.item_id for document in trial.documents], object)  # slots are given in this order
    found: dict[int, dict[str, Ranking]] = {}
    places = {say: Places(np.zeros(len(asked), np.int32), np.zeros(len(asked), np.int32)) for say in says}
    for row, each in enumerate(asked):
        if id(each.question) not in found:
            found[id(each.question)] = searcher.rankings(each.question)
        rankings = found[id(each.question)]
        seen = set(each.seen)
        for say in says:
            searcher.settings = structs.replace(searcher.settings, taste=say.taste, liking=say.liking)
            likings = partial(tuple, each.stranger if say.stranger else each.likings)
            question = structs.replace(each.question, taste=each.taste, likings=likings)
            weights = {**searcher.settings.counting, NEWEST: 1.0}
            slots, _ = fuse({**rankings, **searcher.personal(question, rankings, weights)}, weights)
            first = ids[slots[:DEPTH]].tolist()
            places[say].all[row] = _place(each.wanted, first)
            places[say].unseen[row] = _place(each.wanted, [item_id for item_id in first if item_id not in seen])
    return places


def _place(wanted: Collection[str], found: Sequence[str]) -> int:
    """Of the first that is right, 0 where none is there."""
    return next((place for place, item_id in enumerate(found, 1) if item_id in wanted), 0)
