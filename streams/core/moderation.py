"""What becomes of an upload, by how harmful its parts are."""

import hmac
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Verdict = Literal["allow", "hold", "refuse"]


class Limits(Struct, frozen=True):
    """Scores, 0 to 1, from which a part is held for a person to look at, and from which it is refused."""

    hold: float
    refuse: float


def verdict(scores: Mapping[str, float], limits: Mapping[str, Limits]) -> Verdict:
    """The worst of what its parts deserve; a part without limits deserves nothing.

    >>> limits = {"text": Limits(0.5, 0.9), "image": Limits(0.5, 0.9)}
    >>> verdict({"text": 0.6, "image": 0.1}, limits), verdict({"image": 0.9}, limits), verdict({}, limits)
    ('hold', 'refuse', 'allow')
    """
    judged = [(score, limits[part]) for part, score in scores.items() if part in limits]
    if any(score >= limit.refuse for score, limit in judged):
        return "refuse"
    return "hold" if any(score >= limit.hold for score, limit in judged) else "allow"


def reached(scores: Mapping[str, float], limits: Mapping[str, Limits]) -> list[str]:
    """The parts by which something is held or refused, the most harmful first.

    >>> limits = {"text": Limits(0.5, 0.9), "image": Limits(0.6, 0.9)}
    >>> reached({"text": 0.5, "image": 0.7, "smell": 1.0}, limits), reached({"image": 0.5}, limits)
    (['image', 'text'], [])
    """
    parts = [part for part, score in scores.items() if part in limits and score >= limits[part].hold]
    return sorted(parts, key=lambda part: -scores[part])


def seal(key: bytes, content: bytes) -> str:
    """What a moderator adds to content that they allow: it fits no other, and nobody makes it without the key."""
    return hmac.digest(key, content, "sha256").hex()


def is_sealed(key: bytes, content: bytes, given: str) -> bool:
    """Whether this content was allowed."""
    return hmac.compare_digest(seal(key, content), given)
