"""What a user's taste is worth in a search, prequentially: asked before each click for the film that is clicked next.

A query leaves open which film is meant: its genres, or one word of its plot. The clicked film's place is looked up for
nobody in particular, and for the user as known from the clicks before this one. What the taste counts is chosen on the
first 40% of the clicks and judged on the last half.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from streams.adapters.index import VectorIndex
from streams.adapters.words import WordIndex
from streams.core.evaluation import Ranks, reciprocals
from streams.core.search import analysis
from streams.core.search.question import Question
from streams.core.search.searcher import Document, Searcher
from streams.core.search.settings import SearchSettings
from streams.core.significance import user_bootstrap
from streams.core.taste import Taste, Touched, touch
from streams.core.vectors import Vector
from streams.datasets.movielens import movielens
from streams.evaluate.search.encoded import Encoders
from streams.evaluate.search.films import films
from streams.evaluate.search.judge import FOR_TUNING, figures, interval
from streams.events import Click
from streams.pipeline.policy import Policy
from streams.reports import Sheet

TASTES = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
TUNED_ON, JUDGED_FROM = 0.4, 0.5  # shares of the clicks
EVERY = 5  # of the clicks one is asked for; all are learned from
DEPTH = 100
SEED = 7
LEAST_LETTERS = 5


class Asked(Struct, frozen=True):
    """A query that somebody might have asked just before a click.

    at      share of the clicks that came before
    taste   (dim,) float32, unit length, of the clicks before; None for a first click
    wanted  item id of the click
    """

    kind: str
    user: int
    at: float
    question: Question
    taste: Vector | None
    wanted: str


def personal(folder: Path, downloads: Path, encoders: Encoders) -> Sheet:
    """Places of the clicked films without and with taste, in the films of a folder."""
    documents = films(folder, downloads, encoders).documents
    asked = list(_asked(documents, downloads, encoders))
    searcher = Searcher(SearchSettings(), words=WordIndex(), space=lambda: VectorIndex(_dim(documents)))
    for document in documents:
        searcher.put(document)
    tuning = _sample([each for each in asked if each.at < TUNED_ON])
    chosen = max(TASTES, key=lambda weight: reciprocals(places_of(searcher, tuning, weight)).mean())
    judged = [each for each in asked if each.at >= JUDGED_FROM]
    systems = dict.fromkeys((0.0, SearchSettings().taste, chosen))
    ranks = {weight: places_of(searcher, judged, weight) for weight in systems}
    users = np.array([each.user for each in judged], np.int32)
    kinds = np.array([each.kind for each in judged])
    rows = []
    for kind in dict.fromkeys(each.kind for each in judged):
        of_kind = kinds == kind
        for weight, found in ranks.items():
            gain = user_bootstrap(reciprocals(found[of_kind]), reciprocals(ranks[0.0][of_kind]), users[of_kind])
            name = "nobody in particular" if weight == 0 else f"the user, taste {weight:g}"
            rows.append([kind, f"{of_kind.sum():,}", name, figures(found[of_kind]), interval(gain) if weight else ""])
    return Sheet(
        f"Clicked films, Recall@1 / Recall@10 / MRR; {chosen:g} was chosen on the first {TUNED_ON:.0%} of the clicks",
        ("asked with", "queries", "for", "place of the clicked film", "MRR gained, 95% interval"),
        rows,
    )


def _asked(documents: Sequence[Document], downloads: Path, encoders: Encoders) -> Iterator[Asked]:
    """In the order of the clicks, some of each kind."""
    known = {document.item_id: document for document in documents}
    questions = _questions(documents, encoders)
    clicks = [event for event in movielens(downloads).activity if isinstance(event, Click) and event.item_id in known]
    tastes: dict[str, Taste] = {}
    numbers: dict[str, int] = {}
    for place, click in enumerate(clicks):
        taste = tastes.get(click.user_id, Taste())
        user = numbers.setdefault(click.user_id, len(numbers))
        if place % EVERY == 0:
            for kind, question in questions[click.item_id].items():
                yield Asked(kind, user, place / len(clicks), question, taste.direction(), click.item_id)
        met = Touched(known[click.item_id].vectors, 1.0, click.ts)
        tastes[click.user_id] = touch(taste, [met], Policy(modality_weights={}).taste_half_life)


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


def _sample(asked: Sequence[Asked]) -> list[Asked]:
    rows = np.random.default_rng(SEED).permutation(len(asked))[: 10 * FOR_TUNING]
    return [asked[row] for row in rows]


def places_of(searcher: Searcher, asked: Sequence[Asked], taste: float) -> Ranks:
    """Of the clicked film, 0 where it was not among the first."""
    searcher.settings = msgspec.structs.replace(searcher.settings, taste=taste)
    places: NDArray[np.int32] = np.zeros(len(asked), np.int32)
    for row, each in enumerate(asked):
        hits = searcher.search(msgspec.structs.replace(each.question, taste=each.taste)).hits
        places[row] = next((place for place, hit in enumerate(hits, 1) if hit.item_id == each.wanted), 0)
    return places


def _dim(documents: Sequence[Document]) -> int:
    return next(len(vector) for document in documents for vector in document.vectors.values())
