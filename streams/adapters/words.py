"""Items by their words, in process, with the BM25 of tantivy.

Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond", Foundations and Trends in Information
Retrieval 3(4), 2009. Words and pieces are made by `core.search.analysis`; tantivy only splits at spaces.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from tantivy import Document, Index, Occur, Query, SchemaBuilder, Searcher

from streams.core.search.analysis import pieces
from streams.core.search.fusion import Ranking
from streams.core.search.labels import Labels

TITLE, BODY, PIECES = 2.0, 1.0, 0.3
"""What a word counts in a title, in the rest, and as a piece of a word in either."""

FREQUENCIES, PRESENCE = "freq", "basic"
WRITER_BYTES, WRITER_THREADS = 32_000_000, 1


class WordIndex:
    """An inverted index in memory. What was put is found by the next search."""

    def __init__(self) -> None:
        schema = SchemaBuilder().add_integer_field("slot", indexed=True, fast=True)
        for field in ("title", "body", "pieces"):
            schema.add_text_field(field, tokenizer_name="whitespace", index_option=FREQUENCIES)
        schema.add_text_field("label", tokenizer_name="raw", index_option=PRESENCE)
        self._schema = schema.build()
        self._index = Index(self._schema)
        self._index.config_reader("manual")
        self._writer = self._index.writer(WRITER_BYTES, WRITER_THREADS)
        self._is_current = True

    def put(self, slot: int, title: Sequence[str], body: Sequence[str], labels: Labels) -> None:
        """See `core.search.searcher.Words`."""
        document = Document()
        document.add_integer("slot", slot)
        document.add_text("title", " ".join(title))
        document.add_text("body", " ".join(body))
        document.add_text("pieces", " ".join(piece for word in (*title, *body) for piece in pieces(word)))
        for label in labels:
            document.add_text("label", label)
        self._writer.add_document(document)
        self._is_current = False

    def remove(self, slot: int) -> None:
        """See `core.search.searcher.Words`."""
        self._writer.delete_documents_by_term("slot", slot)
        self._is_current = False

    def best(
        self,
        words: Mapping[str, float],
        count: int,
        required: Sequence[Collection[str]] = (),
        hidden: Collection[str] = (),
    ) -> Ranking:
        """See `core.search.searcher.Words`."""
        if not self._is_current:
            self._writer.commit()
            self._index.reload()
            self._is_current = True
        searcher = self._index.searcher()
        terms = _terms(words)
        conditions = [(Occur.Must, self._any(terms))]
        conditions += [(Occur.Must, self._labelled(allowed)) for allowed in required]
        conditions += [(Occur.MustNot, self._labelled(hidden))] if hidden else []
        hits = searcher.search(Query.boolean_query(conditions), count, count=False).hits
        slots = np.array(searcher.fast_field_values("slot", [address for _, address in hits]), np.int32)
        scores = np.array([score for score, _ in hits], np.float32)
        return Ranking(slots, np.minimum(scores / _ideal(searcher, terms), 1.0))

    def _any(self, terms: Mapping[tuple[str, str], float]) -> Query:
        return Query.boolean_query(
            [
                (Occur.Should, Query.boost_query(Query.term_query(self._schema, field, term, FREQUENCIES), weight))
                for (field, term), weight in terms.items()
            ]
        )

    def _labelled(self, allowed: Collection[str]) -> Query:
        """Any of the labels; what is filtered by says nothing of how well an item answers."""
        return Query.const_score_query(Query.term_set_query(self._schema, "label", sorted(allowed)), 0.0)


def _terms(words: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """(field, term) -> how much it counts."""
    terms: dict[tuple[str, str], float] = {}
    for word, weight in words.items():
        terms["title", word] = TITLE * weight
        terms["body", word] = BODY * weight
        for piece in pieces(word):
            terms["pieces", piece] = terms.get(("pieces", piece), 0.0) + PIECES * weight
    return terms


def _ideal(searcher: Searcher, terms: Mapping[tuple[str, str], float]) -> float:
    """What an item of average length would score that has every word in its title, and every piece."""
    items = searcher.num_docs
    having = {(field, term): searcher.doc_freq(field, term) for field, term in terms if field != "body"}
    return sum(terms[each] * math.log(1 + (items - n + 0.5) / (n + 0.5)) for each, n in having.items())
