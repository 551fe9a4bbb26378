"""Other words for a word, from WordNet 3.0 as Debian packages it (`wordnet-base`).

G. A. Miller, "WordNet: a lexical database for English", Communications of the ACM 38(11), 1995.
"""

from functools import cache
from pathlib import Path

from encoders.training.debian import unpacked

KINDS = ("noun", "verb", "adj", "adv")
SENSES = 2  # the most frequent ones
ENDINGS = {"s": "", "es": "", "ies": "y", "ed": "", "ing": ""}


class WordNet:
    """The lexicon.

    downloads  where the package is kept between runs
    """

    def __init__(self, downloads: Path) -> None:
        folder = unpacked("wordnet-base", downloads.resolve()) / "usr" / "share" / "wordnet"
        self._data = {kind: (folder / f"data.{kind}").read_bytes() for kind in KINDS}
        self._senses: dict[str, list[tuple[str, int]]] = {}
        for kind in KINDS:
            for line in (folder / f"index.{kind}").read_text().splitlines():
                if not line.startswith(" "):
                    lemma, _, count, *rest = line.split()
                    offsets = [(kind, int(offset)) for offset in rest[-int(count) :]]
                    self._senses.setdefault(lemma, []).extend(offsets[:SENSES])
        self.others = cache(self._others)

    def _others(self, word: str) -> tuple[str, ...] | None:
        """Words that can stand for it, in the most frequent senses of each part of speech; None where it is unknown."""
        lemma = self._lemma(word)
        if lemma is None:
            return None
        found = [other for kind, offset in self._senses[lemma] for other in self._synset(kind, offset)]
        return tuple(dict.fromkeys(other for other in found if other != lemma))

    def _lemma(self, word: str) -> str | None:
        if word in self._senses:
            return word
        stems = (word.removesuffix(end) + instead for end, instead in ENDINGS.items() if word.endswith(end))
        return next((stem for stem in stems if stem in self._senses), None)

    def _synset(self, kind: str, offset: int) -> list[str]:
        data = self._data[kind]
        fields = data[offset : data.index(b"|", offset)].decode().split()
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        return [word.partition("(")[0].replace("_", " ").lower() for word in words]
