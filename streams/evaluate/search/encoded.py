"""The encoders in this process; what they said is kept on disk, for it is the slow part."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from encoders.networks import PRECISION_SETTING
from encoders.projection import FOLDER_SETTING
from encoders.training.natives import encoder
from streams.batched import batched
from streams.core.vectors import Vector, from_bytes, to_bytes

TOGETHER = 200


class Encoded(Struct):
    """What became of contents, in their order.

    vectors  little-endian float32; empty where a content was refused
    words    what is said in each
    """

    vectors: list[bytes]
    words: list[str]


class Encoders:
    """All modalities.

    cache  a folder; so many contents together are kept in a file named by them and by what the networks go by: what is
           interrupted goes on from there
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def encode(self, modality: str, contents: Sequence[bytes]) -> list[tuple[Vector | None, str]]:
        """(dim,) float32 unit vector, None where refused, and what is said, of each content."""
        once = list(dict.fromkeys(contents))
        said = [each for some in batched(once, TOGETHER) for each in self._encode(modality, some)]
        known = dict(zip(once, said, strict=True))
        return [known[content] for content in contents]

    def _encode(self, modality: str, contents: Sequence[bytes]) -> list[tuple[Vector | None, str]]:
        path = self._cache / f"{modality}-{_name(contents)}.msgpack"
        if path.is_file():
            encoded = msgspec.msgpack.decode(path.read_bytes(), type=Encoded)
        else:
            said = encoder(modality).encode(contents)
            vectors = [
                b"" if error else to_bytes(vector) for vector, error in zip(said.vectors, said.errors, strict=True)
            ]
            encoded = Encoded(vectors, said.words)
            self._cache.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.msgpack.encode(encoded))
        return [
            (from_bytes(vector) if vector else None, words)
            for vector, words in zip(encoded.vectors, encoded.words, strict=True)
        ]


def _name(contents: Sequence[bytes]) -> str:
    digest = hashlib.sha256(repr([os.environ.get(each, "") for each in (PRECISION_SETTING, FOLDER_SETTING)]).encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]
