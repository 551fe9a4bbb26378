"""The words there are, and which of them was meant by one that is not among them."""

from collections.abc import Iterable

from rapidfuzz import process
from rapidfuzz.distance import OSA

from streams.core.search.analysis import is_unspaced

SHORT, LONG = 4, 8  # characters: a word may be wrong in one place from SHORT on, in two from LONG on


class Vocabulary:
    """How many items have each word.

    >>> known = Vocabulary()
    >>> known.add(["golden", "eye"])
    >>> known.meant("goldne"), known.meant("golden"), known.meant("zebra")
    ('golden', 'golden', None)
    """

    def __init__(self) -> None:
        self._counts: dict[int, dict[str, int]] = {}

    def add(self, words: Iterable[str]) -> None:
        """An item with these words, each once, has come."""
        for word in words:
            counts = self._counts.setdefault(len(word), {})
            counts[word] = counts.get(word, 0) + 1

    def remove(self, words: Iterable[str]) -> None:
        """An item that was added with these words has gone."""
        for word in words:
            counts = self._counts[len(word)]
            counts[word] -= 1
            if not counts[word]:
                del counts[word]

    def __contains__(self, word: str) -> bool:
        return word in self._counts.get(len(word), ())

    def count(self, word: str) -> int:
        """How many items have the word."""
        return self._counts.get(len(word), {}).get(word, 0)

    def meant(self, word: str) -> str | None:
        """The word itself if it is known, else the one nearest to it, of equals the most frequent; None without any.

        Letters may be wrong, missing, added or two of them swapped (optimal string alignment): none in words shorter
        than four letters, one in those shorter than eight, else two.
        """
        if word in self:
            return word
        slips = 0 if len(word) < SHORT or is_unspaced(word) else 1 if len(word) < LONG else 2
        best: tuple[float, int, str] | None = None
        for length in range(len(word) - slips, len(word) + slips + 1) if slips else ():
            counts = self._counts.get(length, {})
            near = process.extract(word, counts.keys(), scorer=OSA.distance, score_cutoff=slips, limit=10)
            for other, distance, _ in near:
                rank = (distance + (other[0] != word[0]) / 2, -counts[other], other)
                best = min(best, rank) if best else rank
        return best[2] if best else None
