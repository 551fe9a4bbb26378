"""MovieLens-100k with plots and posters as a trial of known items: a plot retold, a title misspelt, two actors.

The folder has `items.jsonl` and `posters/` and is the reader's own: licences allow research and no redistribution.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streams.core.search.searcher import Document
from streams.core.vectors import Vector
from streams.evaluate.search.distort import misspelt, photographed, retold
from streams.evaluate.search.encoded import Encoders
from streams.evaluate.search.stamps import with_fused
from streams.evaluate.search.trial import Trial, Wanted, cases, nonsense
from streams.evaluate.search.wordnet import WordNet

SEED = 7
_YEAR = re.compile(r"\s*\(\d{4}\)$|\(.*?\)")


def films(folder: Path, downloads: Path, encoders: Encoders) -> Trial:
    """Every film with title, plot, director, actors and genres, and its poster.

    Right is every film that has the title of the one that is looked for; of two actors, every film with both.
    """
    records = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    wanted = list(_asked(records, folder, WordNet(downloads)))
    documents = _documents(records, folder, encoders)
    return Trial(f"{len(records)} films", documents, cases(wanted, encoders), nonsense(encoders))


def _asked(records: Sequence[dict[str, Any]], folder: Path, lexicon: WordNet) -> Iterator[Wanted]:
    generator = np.random.default_rng(SEED)
    named: dict[str, set[str]] = {}
    playing: dict[str, set[str]] = {}
    for record in records:
        named.setdefault(_title(record), set()).add(record["item_id"])
        for actor in _list(record, "actors"):
            playing.setdefault(actor, set()).add(record["item_id"])
    for record in records:
        title, actors = _title(record), _list(record, "actors")
        right, label = frozenset(named[title]), title
        yield Wanted(kind="title, misspelt", right=right, label=label, words=misspelt(title, generator))
        if told := retold(record.get("plot") or "", lexicon, generator):
            yield Wanted(kind="plot, retold", right=right, label=label, words=told)
        if len(actors) > 1:
            first, second = (actors[place] for place in generator.permutation(len(actors))[:2])
            both = frozenset(playing[first] & playing[second])
            yield Wanted(kind="two actors", right=both, label=label, words=f"{first} {second}")
        if record.get("poster"):
            poster = photographed((folder / record["poster"]).read_bytes(), generator)
            yield Wanted(kind="photograph of the poster", right=right, label=label, media={"image": poster})


def _documents(records: Sequence[dict[str, Any]], folder: Path, encoders: Encoders) -> list[Document]:
    vectors: list[dict[str, Vector]] = [{} for _ in records]
    texts = [_text(record) for record in records]
    genres = [_list(record, "genre") for record in records]
    written = [
        "\n".join((record["title"], text, " ".join(tags)))
        for record, text, tags in zip(records, texts, genres, strict=True)
    ]
    pictured = [place for place, record in enumerate(records) if record.get("poster")]
    posters = [(folder / records[place]["poster"]).read_bytes() for place in pictured]
    for modality, places, contents in (
        ("text", range(len(records)), [each.encode() for each in written]),
        ("image", pictured, posters),
    ):
        for place, (vector, _) in zip(places, encoders.encode(modality, contents), strict=True):
            if vector is not None:
                vectors[place][modality] = vector
    return [
        Document(
            item_id=record["item_id"],
            at=0.0,
            title=record["title"],
            text=text,
            attributes=[f"genre={tag}" for tag in tags],
            vectors=with_fused(found),
        )
        for record, text, tags, found in zip(records, texts, genres, vectors, strict=True)
    ]


def _title(record: dict[str, Any]) -> str:
    """Without year and other titles, the article where people put it."""
    title = _YEAR.sub("", str(record["title"])).strip()
    name, comma, article = title.rpartition(", ")
    return f"{article} {name}" if comma and article in ("The", "A", "An") else title


def _text(record: dict[str, Any]) -> str:
    return "\n".join(filter(None, (record.get(field) for field in ("plot", "director", "actors"))))


def _list(record: dict[str, Any], field: str) -> list[str]:
    return [each for each in (record.get(field) or "").split(", ") if each and each != "N/A"]
