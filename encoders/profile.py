"""Profile: what users say of themselves, as smooth age buckets and hashed tags.

There is no pretrained network for this. Features are laid out so that similar profiles get similar vectors
before anything is learned: near ages share buckets, equal tags share hashed places, and a tag never seen
before has its place too (Weinberger et al., 2009, 'Feature hashing').
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from encoders.contract import MODALITIES
from encoders.encoder import Encoder, Floats
from encoders.errors import Refused

Trait = str | int | float | bool | list[str] | None

AGE_BUCKETS = np.array([5, 10, 14, 18, 22, 26, 30, 35, 40, 45, 50, 56, 63, 70, 78, 88], np.float32)
TAG_PLACES = MODALITIES["profile"].native_dim - len(AGE_BUCKETS)
PLACES_PER_TAG = 4
MAX_TAGS = 100

_GENDERS = {"m": "male", "man": "male", "f": "female", "w": "female", "woman": "female"}
_WORD = re.compile(r"[\w+#]+")


def age_buckets(age: float) -> Floats:
    """(16,) how much an age belongs to each bucket, unit length; the buckets grow wider with age.

    age  in years, 0 to 130

    >>> near, far = age_buckets(30) @ age_buckets(32), age_buckets(30) @ age_buckets(60)
    >>> bool(near > 0.9), bool(far < 0.1)
    (True, True)
    """
    widths = np.gradient(AGE_BUCKETS)
    bumps = np.exp(-0.5 * ((np.float32(age) - AGE_BUCKETS) / widths) ** 2) + np.float32(1e-6)
    return np.asarray(bumps / np.linalg.norm(bumps), np.float32)


def hashed(tag: str) -> Floats:
    """(112,) the tag's own place: a few signed entries chosen by its hash, unit length."""
    digest = hashlib.blake2b(tag.encode(), digest_size=4 * PLACES_PER_TAG).digest()
    vector = np.zeros(TAG_PLACES, np.float32)
    for number in np.frombuffer(digest, "<u4").tolist():
        vector[(number >> 1) % TAG_PLACES] += 1.0 if number & 1 else -1.0
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else hashed(tag + "'")


def tags(traits: dict[str, Trait]) -> Iterator[tuple[str, float]]:
    """Each trait as tags with weights; a list shares one weight, so that a long one does not drown the rest.

    >>> list(tags({"gender": "F", "occupation": "Writer", "interests": ["jazz", "chess"]}))
    [('gender=female', 1.0), ('occupation=writer', 1.0), ('interests=jazz', 0.5), ('interests=chess', 0.5)]
    """
    for field, value in traits.items():
        name = _plain(field)
        match value:
            case None | "" | []:
                continue
            case bool():
                yield f"{name}={str(value).lower()}", 1.0
            case int() | float():
                yield f"{name}~{_magnitude(value)}", 1.0
            case str() if name == "gender":
                yield f"gender={_GENDERS.get(_plain(value), _plain(value))}", 1.0
            case str() if name in ("zip", "zipcode", "postcode"):
                yield f"region={_plain(value)[:1]}", 0.5
                yield f"region={_plain(value)[:3]}", 0.5
            case str():
                yield f"{name}={_plain(value)}", 1.0
            case list():
                for each in value:
                    yield f"{name}={_plain(each)}", 1.0 / len(value)


class ProfileEncoder(Encoder[Floats]):
    """A JSON object of traits: `age` in years and any other field, text, number, boolean or list of texts."""

    modality = MODALITIES["profile"]

    @classmethod
    def sample(cls) -> bytes:
        return b'{"age": 30, "gender": "F", "occupation": "writer"}'

    def read(self, content: bytes) -> Floats:
        try:
            traits = msgspec.json.decode(content, type=dict[str, Trait])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused("profile", "Undecodable", str(error) or "nested too deeply") from error
        age = _age(traits.pop("age", None))
        native = np.zeros(self.modality.native_dim, np.float32)
        if age is not None:
            native[: len(AGE_BUCKETS)] = age_buckets(age)
        for number, (tag, weight) in enumerate(tags(traits)):
            if number == MAX_TAGS:
                break
            native[len(AGE_BUCKETS) :] += np.float32(weight) * hashed(tag)
        if not native.any():
            raise Refused("profile", "Empty", "no field says anything")
        return native

    def embed(self, batch: Sequence[Floats]) -> Floats:
        return np.stack(batch)


def _age(value: Trait) -> float | None:
    """Raises Refused for an age that no person has."""
    if value is None or value == "":
        return None
    try:
        age = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        age = math.nan
    if not 0 <= age <= 130:
        raise Refused("profile", "Undecodable", f"age is {str(value)[:40]!r}, where 0 to 130 is allowed")
    return age


def _plain(text: str) -> str:
    """Case, width and punctuation aside: 'Sci-Fi ' and 'sci fi' are one tag."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text[:200]).casefold()))


def _magnitude(number: float) -> str:
    """Sign and power of two, so that near numbers share a tag."""
    if number == 0:
        return "0"
    return f"{'-' if number < 0 else ''}2^{round(math.log2(abs(number)))}"
