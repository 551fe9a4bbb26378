"""A catalogue, and queries whose right answers are known."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

import numpy as np
from msgspec import Struct

from streams.core.search.question import Question
from streams.core.search.searcher import Document
from streams.core.vectors import Vector
from streams.evaluate.search.encoded import Encoders

SEED = 7


class Wanted(Struct, frozen=True, kw_only=True):
    """Somebody looks for something.

    kind   what sort of query it is; figures are of one kind each
    right  items, any of which is what is looked for
    label  queries with one label are about the same thing
    media  modality -> content
    """

    kind: str
    right: frozenset[str]
    label: str
    words: str = ""
    media: Mapping[str, bytes] = {}


class Case(Struct, frozen=True):
    """A query as it is asked, and what is right."""

    kind: str
    right: frozenset[str]
    label: str
    question: Question


class Trial(Struct, frozen=True):
    """A catalogue and what is asked of it.

    nonsense  questions that nothing answers
    """

    name: str
    documents: list[Document]
    cases: list[Case]
    nonsense: list[Question] = []


def cases(wanted: Sequence[Wanted], encoders: Encoders) -> list[Case]:
    """Embed what is asked with, as the stream does; speech is asked for by its words, too.

    A query of which nothing is left is kept: it finds nothing, and that counts.
    """
    vectors: list[dict[str, Vector]] = [{} for _ in wanted]
    words = [each.words for each in wanted]
    for modality in ("text", "image", "audio", "speech"):
        having = [place for place, each in enumerate(wanted) if _content(each, modality)]
        if having:
            said = encoders.encode(modality, [_content(wanted[place], modality) for place in having])
            for place, (vector, heard) in zip(having, said, strict=True):
                if vector is not None:
                    vectors[place][modality] = vector
                    words[place] = " ".join(filter(None, (words[place], heard)))
    return [
        Case(each.kind, each.right, each.label, Question(words=typed, vectors=found))
        for each, typed, found in zip(wanted, words, vectors, strict=True)
    ]


def nonsense(encoders: Encoders, count: int = 300) -> list[Question]:
    """Two words of four to nine random letters each."""
    generator = np.random.default_rng(SEED)
    letters = list(ascii_lowercase)
    words = [
        " ".join("".join(generator.choice(letters, generator.integers(4, 10))) for _ in range(2)) for _ in range(count)
    ]
    said = encoders.encode("text", [each.encode() for each in words])
    return [
        Question(words=each, vectors={} if vector is None else {"text": vector})
        for each, (vector, _) in zip(words, said, strict=True)
    ]


def _content(wanted: Wanted, modality: str) -> bytes:
    return wanted.words.encode() if modality == "text" else wanted.media.get(modality, b"")
