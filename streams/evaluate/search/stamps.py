"""Tux Paint's stamps as a trial: asked for in other languages, misspelt, with a photograph, by voice, and with both."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from encoders.training import stamps as collection
from encoders.training.stamps import LANGUAGES, Stamp
from streams.core.fusion import fuse
from streams.core.search.searcher import Document
from streams.core.vectors import Vector
from streams.evaluate.search.distort import misspelt, photographed
from streams.evaluate.search.encoded import Encoders
from streams.evaluate.search.trial import Trial, Wanted, cases, nonsense
from streams.settings import Worker

NAMES = {
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "th": "Thai",
    "tr": "Turkish",
    "zh_CN": "Chinese",
}
SPOKEN = {"en": "English", "es": "Spanish", "fr": "French"}
NOT_UNDERSTOOD = 10
"""Of the recordings in languages that the speech network does not know one in so many is asked: each takes seconds."""
SEED = 7


def stamps(downloads: Path, encoders: Encoders) -> Trial:
    """Every stamp with its English name, its picture and its sound, and no other name: neither written nor spoken.

    Right is every stamp that has the English name of the one that is looked for. Names that are the same in English and
    in the language that is asked in are not asked.
    """
    items = collection.read(collection.fetch(downloads.resolve()))
    right: dict[str, set[str]] = {}
    for stamp in items:
        right.setdefault(stamp.texts["en"], set()).add(stamp.item_id)
    wanted = [
        Wanted(kind=kind, right=frozenset(right[stamp.texts["en"]]), label=stamp.texts["en"], words=words, media=media)
        for stamp, kind, words, media in _asked(items)
    ]
    return Trial(f"{len(items)} stamps", _documents(items, encoders), cases(wanted, encoders), nonsense(encoders))


def _asked(items: Sequence[Stamp]) -> Iterator[tuple[Stamp, str, str, dict[str, bytes]]]:
    """Stamp, kind of query, words, media."""
    generator = np.random.default_rng(SEED)
    for stamp in items:
        yield stamp, "English, misspelt", misspelt(stamp.texts["en"], generator), {}
    for language in LANGUAGES:
        for stamp in items:
            if stamp.texts.get(language, stamp.texts["en"]) != stamp.texts["en"]:
                yield stamp, NAMES[language], stamp.texts[language], {}
    for stamp in items:
        if stamp.image:
            photograph = photographed(stamp.image.read_bytes(), generator)
            yield stamp, "photograph", "", {"image": photograph}
            for language in ("de", "ja"):
                if language in stamp.texts:
                    yield stamp, f"photograph, and {NAMES[language]}", stamp.texts[language], {"image": photograph}
    for language, name in SPOKEN.items():
        spoken = [stamp for stamp in items if language in stamp.speech]
        for stamp in spoken if language == "en" else spoken[::NOT_UNDERSTOOD]:
            yield stamp, f"spoken {name}", "", {"speech": stamp.speech[language].read_bytes()}


def _documents(items: Sequence[Stamp], encoders: Encoders) -> list[Document]:
    vectors: list[dict[str, Vector]] = [{} for _ in items]
    parts = {
        "text": [stamp.texts["en"].encode() for stamp in items],
        "image": [stamp.image.read_bytes() if stamp.image else b"" for stamp in items],
        "audio": [stamp.audio.read_bytes() if stamp.audio else b"" for stamp in items],
    }
    for modality, contents in parts.items():
        having = [place for place, content in enumerate(contents) if content]
        said = encoders.encode(modality, [contents[place] for place in having])
        for place, (vector, _) in zip(having, said, strict=True):
            if vector is not None:
                vectors[place][modality] = vector
    return [
        Document(item_id=stamp.item_id, at=0.0, title=stamp.texts["en"], vectors=with_fused(found))
        for stamp, found in zip(items, vectors, strict=True)
    ]


def with_fused(vectors: dict[str, Vector]) -> dict[str, Vector]:
    """As the stream would store them."""
    fused = fuse(vectors, Worker().fusion_weights)
    return vectors if fused is None else vectors | {"fused": fused}
