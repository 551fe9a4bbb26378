"""What can be asked of the catalogue, and what the answer is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from streams.core.vectors import Vector

Barred = Callable[[str, Collection[str]], bool]
"""Whether an item, by its id and its labels, must not be shown to whoever asks."""


Likings = Callable[[], Sequence[str]]
"""Ids of the items that whoever asks would be recommended, best first; worked out only where they have a say."""


def nothing(item_id: str, labels: Collection[str]) -> bool:
    """Bars no item."""
    return False


class Asker(NamedTuple):
    """Who asks.

    taste    (dim,) float32, unit length; None where it is unknown
    traits   what they said of themselves, JSON, empty where they did not; None where that cannot be known now
    likings  seconds since the epoch -> ids of the items that they would be recommended then, best first; None where
             nothing is known of them
    """

    taste: Vector | None = None
    traits: bytes | None = b""
    likings: Callable[[float], Sequence[str]] | None = None


class Question(Struct, frozen=True, kw_only=True):
    """What is asked. Without words and vectors it asks for all that passes the filters, the newest first.

    words    as typed
    vectors  part asked with -> (dim,) float32, unit length; 'text' for the words
    filters  name -> values, one of which an item must have: its attributes (`tag` where they have no name), 'language',
             and 'has' for its parts
    hidden   labels (`name=value`) of items that are not to be shown
    barred   which items rules keep from whoever asks
    taste    (dim,) float32, unit length, in the space of fused vectors; None for nobody in particular
    likings  what they would be recommended; None for nobody in particular
    """

    words: str = ""
    vectors: Mapping[str, Vector] = {}
    filters: Mapping[str, Sequence[str]] = {}
    hidden: Collection[str] = ()
    barred: Barred = nothing
    taste: Vector | None = None
    likings: Likings | None = None
    offset: int = 0
    limit: int = 10


class Hit(Struct, frozen=True):
    """An item found.

    places  ranking -> its place there, 1 the best
    gains   ranking -> what it gave to the score, before its weight
    """

    item_id: str
    title: str
    score: float
    places: dict[str, int]
    gains: dict[str, float]


class Found(Struct, frozen=True, kw_only=True):
    """The answer.

    hits     of the page asked for
    total    items found; where there are many, those that were looked at
    facets   name -> value -> how many of these have it
    meant    the words, the unknown ones replaced by what was probably meant; empty where all are known
    weights  ranking that had a say -> what it counted
    """

    hits: list[Hit]
    total: int
    facets: dict[str, dict[str, int]]
    meant: str = ""
    weights: dict[str, float] = {}
