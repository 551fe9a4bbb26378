"""Places of the right answers, by words alone, by vectors alone, and by both.

Weights are chosen on four fifths of what is looked for and judged on the last fifth, in turn; vectors alone get the
same care, and are asked without the words, which would hold them back. `as shipped` has the weights and floors that the
product comes with.
"""

from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from streams.adapters.index import VectorIndex
from streams.adapters.words import WordIndex
from streams.core.evaluation import Ranks, reciprocals
from streams.core.search.fusion import Ranking, fuse
from streams.core.search.searcher import Searcher
from streams.core.search.settings import WEIGHTS, WORDS, SearchSettings
from streams.core.significance import Difference, user_bootstrap
from streams.evaluate.search.trial import Trial
from streams.evaluate.search.weights import gains, tuned
from streams.reports import Sheet

FOLDS = 5
FOR_TUNING = 150  # queries of a kind, at most
SEED = 7
WORDS_ALONE, VECTORS_ALONE, BOTH = "BM25 alone", "vectors alone", "both"
VECTORS_SHIPPED, SHIPPED = "vectors alone, as shipped", "both, as shipped"
AS_SHIPPED, CHOSEN = (WORDS_ALONE, VECTORS_SHIPPED, SHIPPED), (WORDS_ALONE, VECTORS_ALONE, BOTH)
ASKED = ("text", "image", "audio", "speech")
EVERY: Mapping[str, float] = {
    WORDS: 1.0,
    **{f"{asked} in {part}": 1.0 for asked in ASKED for part in (*ASKED, "fused")},
}


class Verdict(Struct, frozen=True):
    """What was found.

    ranks    system -> (n,) place of the first right answer of each query, 0 where there is none
    kinds    of the queries
    labels   what each is about
    weights  chosen on all queries, for both together
    silent   share of the queries that are nonsense for which nothing is found, as shipped
    """

    name: str
    items: int
    ranks: dict[str, Ranks]
    kinds: list[str]
    labels: list[str]
    weights: dict[str, float]
    silent: float


def judge(trial: Trial) -> Verdict:
    """Ask everything, and see where the right answers are."""
    everything = searcher(trial, SearchSettings(weights=EVERY, floors={}))
    slot = {document.item_id: place for place, document in enumerate(trial.documents)}
    right = [{slot[item] for item in case.right} for case in trial.cases]
    rankings = [everything.rankings(case.question) for case in trial.cases]
    wordless = [structs.replace(case.question, words="") for case in trial.cases]
    nearest = [everything.rankings(question) if question.vectors else {} for question in wordless]
    kinds, labels = [case.kind for case in trial.cases], [case.label for case in trial.cases]
    ranks = {name: np.zeros(len(rankings), np.int32) for name in (WORDS_ALONE, VECTORS_ALONE, BOTH)}
    for held_out in folds(labels, FOLDS):
        learning = some_of_each(kinds, np.flatnonzero(~held_out))
        for name, found, weights in (
            (WORDS_ALONE, rankings, {WORDS: 1.0}),
            (VECTORS_ALONE, nearest, _chosen(nearest, right, kinds, learning)),
            (BOTH, rankings, _chosen(rankings, right, kinds, learning)),
        ):
            for row in np.flatnonzero(held_out):
                ranks[name][row] = _place(found[row], weights, right[row])
    shipped = searcher(trial, SearchSettings())
    for name, questions in ((VECTORS_SHIPPED, wordless), (SHIPPED, [case.question for case in trial.cases])):
        found = [shipped.rankings(question) for question in questions]
        ranks[name] = np.array([_place(*each) for each in zip(found, repeat(WEIGHTS), right)], np.int32)
    learning = some_of_each(kinds, np.arange(len(kinds)))
    chosen = _chosen(rankings, right, kinds, learning)
    silent = [not shipped.search(question).total for question in trial.nonsense]
    return Verdict(
        trial.name, len(trial.documents), ranks, kinds, labels, chosen, float(np.mean(silent)) if silent else 0.0
    )


def sheets(verdict: Verdict) -> list[Sheet]:
    """As shipped: each kind of query, and what both are worth beside either; then the same with the weights chosen."""
    silent = f"of nonsense, {verdict.silent:.0%} is answered with nothing"
    return [
        _places(f"{verdict.name} as shipped: Recall@1 / Recall@10 / MRR; {silent}", AS_SHIPPED, verdict),
        _differences("How much better both together are, as shipped: MRR, 95% interval", AS_SHIPPED, verdict),
        _places("With weights chosen: Recall@1 / Recall@10 / MRR", CHOSEN, verdict),
        _differences("How much better both together are, with weights chosen: MRR, 95% interval", CHOSEN, verdict),
        _weights(verdict),
    ]


def searcher(trial: Trial, settings: SearchSettings) -> Searcher:
    """What finds the documents of a trial."""
    made = Searcher(settings, words=WordIndex(), space=lambda: VectorIndex(_dim(trial)))
    for document in trial.documents:
        made.put(document)
    return made


def _chosen(
    rankings: Sequence[Mapping[str, Ranking]],
    right: Sequence[set[int]],
    kinds: Sequence[str],
    learning: NDArray[np.int64],
) -> dict[str, float]:
    """The weights that suit these rows best."""
    laid_out = gains(*([each[row] for row in learning] for each in (rankings, right, kinds)))
    return tuned(laid_out, {**dict.fromkeys(EVERY, 0.0), **WEIGHTS})


def _dim(trial: Trial) -> int:
    return next(len(vector) for document in trial.documents for vector in document.vectors.values())


def folds(labels: Sequence[str], count: int) -> list[NDArray[np.bool_]]:
    """Masks of the queries held out in each fold: what is about the same thing is on one side."""
    distinct, which = np.unique(labels, return_inverse=True)
    fold = np.random.default_rng(SEED).permutation(len(distinct)) % count
    return [fold[which] == each for each in range(count)]


def some_of_each(kinds: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most FOR_TUNING rows of each kind."""
    mixed = np.random.default_rng(SEED).permutation(rows)
    names = np.array(kinds)[mixed]
    return np.concatenate([mixed[names == name][:FOR_TUNING] for name in dict.fromkeys(kinds)])


def _place(rankings: Mapping[str, Ranking], weights: Mapping[str, float], right: set[int]) -> int:
    """Of the first right answer, 0 where it was not found."""
    slots, _ = fuse(rankings, weights)
    places = np.flatnonzero(np.isin(slots, list(right)))
    return int(places[0]) + 1 if len(places) else 0


def _places(title: str, systems: Sequence[str], verdict: Verdict) -> Sheet:
    kinds = np.array(verdict.kinds)
    rows = []
    for name in dict.fromkeys(verdict.kinds):
        of_kind = kinds == name
        rows.append([name, f"{of_kind.sum():,}", *(figures(verdict.ranks[each][of_kind]) for each in systems)])
    means = [
        np.mean([_figures(verdict.ranks[each][kinds == name]) for name in dict.fromkeys(verdict.kinds)], axis=0)
        for each in systems
    ]
    rows.append(["mean of kinds", f"{len(kinds):,}", *(_text(mean) for mean in means)])
    return Sheet(title, ("asked in", "queries", *systems), rows)


def _differences(title: str, systems: tuple[str, str, str], verdict: Verdict) -> Sheet:
    """The last of the systems beside each of the others."""
    kinds, about = np.array(verdict.kinds), np.unique(verdict.labels, return_inverse=True)[1].astype(np.int32)
    *others, both = (reciprocals(verdict.ranks[each]) for each in systems)
    compared = {kind: kinds == kind for kind in dict.fromkeys(verdict.kinds)}
    compared["all queries"] = np.ones(len(kinds), np.bool_)
    rows = [
        [name, *(interval(user_bootstrap(both[asked], other[asked], about[asked])) for other in others)]
        for name, asked in compared.items()
    ]
    return Sheet(title, ("asked in", *(f"than {each}" for each in systems[:-1])), rows)


def _weights(verdict: Verdict) -> Sheet:
    top = max(verdict.weights.values())
    rows = [[name, f"{weight / top:.2f}"] for name, weight in sorted(verdict.weights.items(), key=lambda one: -one[1])]
    return Sheet("What each ranking counts, chosen on all queries", ("ranking", "weight"), rows)


def interval(difference: Difference) -> str:
    """A difference for a table."""
    return f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


def _figures(ranks: Ranks) -> tuple[float, float, float]:
    """Recall@1, Recall@10, MRR."""
    hit = ranks > 0
    return float((ranks == 1).mean()), float((hit & (ranks <= 10)).mean()), float(reciprocals(ranks).mean())


def figures(ranks: Ranks) -> str:
    """Recall@1 / Recall@10 / MRR, for a table."""
    return _text(_figures(ranks))


def _text(figures: Sequence[float] | NDArray[np.float64]) -> str:
    return " / ".join(f"{figure:.3f}".removeprefix("0") for figure in figures)
