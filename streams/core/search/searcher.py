"""The items of the catalogue, and the best of them for a question asked in words, pictures, sounds or all of these.

A question leads to many rankings: one by the words themselves, and one for each pair of a part that was asked with and
a part that items have ('text in image': pictures near the words), since all parts live in one space. Those by the
meaning of words count less the better the words themselves fit (`gate`). All become one by reciprocal rank and strength
(`fusion`). Nearness to a user's taste, and what they would be recommended, are but two more, of what was found.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from streams.core.search import analysis, labels
from streams.core.search.clicks import LearnedWeights
from streams.core.search.fusion import NOTHING, Ranking, Slots, fuse, given_by, matches
from streams.core.search.gate import coverage, gated, rarity
from streams.core.search.labels import Labels
from streams.core.search.question import Found, Hit, Likings, Question, nothing
from streams.core.search.settings import LIKING, TASTE, TEXT, WORDS, SearchSettings
from streams.core.search.shelf import Kept, Shelf
from streams.core.search.vocabulary import Vocabulary
from streams.core.vectors import Vector

FUSED = "fused"
NEWEST = "newest"
CORRECTED = 0.7
"""What a word counts that was not written but probably meant."""
WIDER = 4
"""How many times as many items are asked for where the filters and rules left too few."""

Required = Sequence[Collection[str]]


class Words(Protocol):
    """Ranks items by words."""

    def put(self, slot: int, title: Sequence[str], body: Sequence[str], labels: Labels) -> None:
        """Add an item that is not there; words as from `analysis.words`."""

    def remove(self, slot: int) -> None:
        """Take an item out, if it is there."""

    def best(self, words: Mapping[str, float], count: int, required: Required, hidden: Collection[str]) -> Ranking:
        """At most `count` items with any of the words or pieces of them.

        words     word -> how much it counts
        required  sets of labels: an item needs one of each
        hidden    labels that no item may have
        """


class Space(Protocol):
    """Ranks items by one of their vectors."""

    def put(self, slot: int, vector: Vector) -> None:
        """Add an item, or move it; (dim,) float32, unit length."""

    def remove(self, slot: int) -> None:
        """Take an item out, if it is there."""

    def nearest(self, vector: Vector, count: int) -> tuple[Slots, NDArray[np.float32]]:
        """At most `count` slots and their cosines, best first."""

    def among(self, vector: Vector, slots: Slots) -> tuple[Slots, NDArray[np.float32]]:
        """Those of the slots that are there, and their cosines, best first; exact."""


class Document(Struct, frozen=True, kw_only=True):
    """An item as it can be found.

    at       when it was uploaded, seconds since the epoch
    vectors  'fused' and each modality present -> (dim,) float32, unit length
    """

    item_id: str
    at: float
    title: str = ""
    text: str = ""
    attributes: Sequence[str] = ()
    language: str = ""
    vectors: Mapping[str, Vector] = {}


class Searcher:
    """Finds items; one that is put is found at once, and one that is removed no more.

    words  an index of words, empty
    space  makes an empty index of vectors
    """

    def __init__(self, settings: SearchSettings, *, words: Words, space: Callable[[], Space]) -> None:
        self.settings = settings
        self._words = words
        self._new_space = space
        self._spaces: dict[str, Space] = {}
        self._shelf = Shelf()
        self._vocabulary = Vocabulary()

    def __len__(self) -> int:
        return len(self._shelf)

    def put(self, item: Document) -> None:
        """Add an item, or change it."""
        self.remove(item.item_id)
        title = analysis.words(item.title)
        body = analysis.words(f"{item.text}\n{' '.join(labels.values(item.attributes))}")
        marked = labels.labels(item.attributes, item.language, sorted(item.vectors.keys() - {FUSED}))
        once = dict.fromkeys([*title, *body])
        slot = self._shelf.put(Kept(item.item_id, item.title, item.at, marked, " ".join(once)))
        self._vocabulary.add(once)
        self._words.put(slot, title, body, marked)
        for name, vector in item.vectors.items():
            if name not in self._spaces:
                self._spaces[name] = self._new_space()
            self._spaces[name].put(slot, vector)

    def remove(self, item_id: str) -> None:
        """Take an item out, if it is there."""
        if found := self._shelf.remove(item_id):
            slot, kept = found
            self._vocabulary.remove(kept.words.split())
            self._words.remove(slot)
            for space in self._spaces.values():
                space.remove(slot)

    def search(self, question: Question, learned: LearnedWeights | None = None) -> Found:
        """The best items, and what spoke for each.

        learned  what clicks have made of the weights
        """
        rankings = self.rankings(question)
        weights = {**(learned.of(self.settings.counting) if learned else self.settings.counting), NEWEST: 1.0}
        rankings |= self.personal(question, rankings, weights)
        slots, sums = fuse(rankings, weights, self.settings.smoothing)
        page = slice(question.offset, question.offset + question.limit)
        return Found(
            hits=self._hits(slots[page].tolist(), sums[page].tolist(), rankings),
            total=len(slots),
            facets=labels.counted((self._shelf[slot].labels for slot in slots.tolist()), self.settings.facets),
            meant=self._meant(question.words),
            weights={name: weights[name] for name in rankings},
        )

    def rankings(self, question: Question) -> dict[str, Ranking]:
        """By name, what is fused to answer: items that may be shown, without regard to who asks."""
        required = labels.wanted(question.filters)
        question = structs.replace(question, hidden=self._shelf.carried(question.hidden))
        depth = max(self.settings.depth, question.offset + question.limit)
        words = Counter(analysis.words(question.words))
        if not words and not question.vectors:
            newest = np.array(self._shelf.newest(depth, required, question.hidden, question.barred), np.int32)
            return {NEWEST: Ranking(newest, np.ones(len(newest), np.float32))}
        meant = {word: self._vocabulary.meant(word) for word in words}
        found = {}
        if words and self.settings.weights.get(WORDS):
            found[WORDS] = self._worded(_understood(words, meant), depth, required, question)
        for part, vector in question.vectors.items():
            for name, space in self._spaces.items():
                if self.settings.weights.get(f"{part} in {name}"):
                    found[f"{part} in {name}"] = self._near(space, vector, depth, required, question)
        kept = {name: each for name, each in found.items() if _best(each) > self.settings.floors.get(name, 0.0)}
        covered = self._covered(meant, kept[WORDS]) if WORDS in kept else 0.0
        gate = partial(gated, covered=covered, sharpness=self.settings.sharpness, yielding=self.settings.yielding)
        return {name: gate(each) if name.startswith(f"{TEXT} in ") else each for name, each in kept.items()}

    def personal(
        self, question: Question, found: Mapping[str, Ranking], weights: Mapping[str, float]
    ) -> dict[str, Ranking]:
        """What was found, ranked by what is known of whoever asks.

        found    by ranking, as from `rankings`
        weights  what each ranking counts
        """
        rankings = {}
        if question.taste is not None and self.settings.taste > 0 and FUSED in self._spaces:
            slots, _ = fuse(found, weights, self.settings.smoothing)
            rankings[TASTE] = Ranking(*self._spaces[FUSED].among(question.taste, slots))
        if question.likings is not None and self.settings.liking > 0:
            rankings[LIKING] = self._liked(question.likings, *matches(_written(found), weights))
        return {name: each for name, each in rankings.items() if len(each.slots)}

    def _liked(self, likings: Likings, slots: Slots, shares: NDArray[np.float64]) -> Ranking:
        """Those that would be recommended, each as strong as it matches beside the best.

        To be liked decides between items that the words leave open. It must not overturn them, and pictures and sounds
        say by themselves what is meant (see docs/search.md).
        """
        if not len(slots):
            return NOTHING
        places = {self._shelf[slot].item_id: place for place, slot in enumerate(slots.tolist())}
        liked = [places[item_id] for item_id in likings() if item_id in places]
        return Ranking(slots[liked], (shares[liked] ** self.settings.closeness).astype(np.float32))

    def _worded(self, words: Mapping[str, float], depth: int, required: Required, question: Question) -> Ranking:
        """Those with the words that may be shown."""
        if question.barred is nothing:
            return self._words.best(words, depth, required, question.hidden)
        return self._shown(lambda count: self._words.best(words, count, required, question.hidden), depth, (), question)

    def _near(self, space: Space, vector: Vector, depth: int, required: Required, question: Question) -> Ranking:
        """The nearest that may be shown."""
        if required and self._shelf.at_most(required) <= self.settings.exact:
            few = np.fromiter(self._shelf.passing(required, question.hidden, question.barred), np.int32)
            slots, cosines = space.among(vector, few)
            return Ranking(slots[:depth], cosines[:depth])
        if not required and not question.hidden and question.barred is nothing:
            return Ranking(*space.nearest(vector, depth))
        return self._shown(lambda count: Ranking(*space.nearest(vector, count)), depth, required, question)

    def _shown(self, best: Callable[[int], Ranking], depth: int, required: Required, question: Question) -> Ranking:
        """Those of a ranking that may be shown: as many more are asked for as that takes."""
        asked = depth
        while True:
            slots, strengths = best(asked)
            passes = (self._shelf.passes(slot, required, question.hidden, question.barred) for slot in slots.tolist())
            shown = np.fromiter(passes, np.bool_, len(slots))
            if shown.sum() >= depth or len(slots) < asked:
                return Ranking(slots[shown][:depth], strengths[shown][:depth])
            asked *= WIDER

    def _covered(self, meant: Mapping[str, str | None], ranking: Ranking) -> float:
        """The share of the words that the best item by words has."""
        rarities = {word: rarity(self._vocabulary.count(word), len(self._shelf)) for word in meant}
        return coverage(rarities, meant, set(self._shelf[int(ranking.slots[0])].words.split()))

    def _meant(self, words: str) -> str:
        """What was probably meant, empty where it is what was written."""
        written = analysis.words(words)
        meant = [self._vocabulary.meant(word) or word for word in written]
        return " ".join(meant) if meant != written else ""

    def _hits(self, slots: list[int], sums: list[float], rankings: Mapping[str, Ranking]) -> list[Hit]:
        places = {name: {slot: n for n, slot in enumerate(each.slots.tolist(), 1)} for name, each in rankings.items()}
        given = {name: given_by(each, self.settings.smoothing).tolist() for name, each in rankings.items()}
        hits = []
        for slot, score in zip(slots, sums, strict=True):
            own = {name: each[slot] for name, each in places.items() if slot in each}
            gains = {name: given[name][place - 1] for name, place in own.items()}
            hits.append(Hit(self._shelf[slot].item_id, self._shelf[slot].title, score, own, gains))
        return hits


def _written(rankings: Mapping[str, Ranking]) -> dict[str, Ranking]:
    """Those by what was written; where nothing was asked with, all that there is."""
    return {name: each for name, each in rankings.items() if name in (WORDS, NEWEST) or name.startswith(f"{TEXT} in ")}


def _best(ranking: Ranking) -> float:
    return float(ranking.strengths[0]) if len(ranking.strengths) else 0.0


def _understood(words: Mapping[str, int], meant: Mapping[str, str | None]) -> dict[str, float]:
    """Each word, and how much it counts; beside an unknown one, that which was probably meant."""
    understood = {word: float(count) for word, count in words.items()}
    for word, count in words.items():
        other = meant[word]
        if other is not None and other not in understood:
            understood[other] = CORRECTED * count
    return understood
