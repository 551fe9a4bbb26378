"""Modalities, tensor names, shapes and limits: the one truth of encoders, Triton models and the stream.

Importing this file loads nothing heavy. Every `<modality>_encoder` model takes one encoded content for each
row and answers with a vector or with the reason why there is none, so that a client needs one code path:

    content  BYTES [n, 1]     UTF-8 text, a JSON profile, or the bytes of a media file
    vector   FP32  [n, 256]   unit length; zeros where `error` is not empty
    error    BYTES [n, 1]     empty, or a name and a sentence, such as `ImageUndecodable: ...`
    native   FP32  [n, native_dim]   what the network said before projection; only where asked for
    space    BYTES [n, 1]     the name of the space the vector is in: vectors of two names do not compare
    language BYTES [n, 1]     of text: the ISO 639 code of its language, empty where that is not clear
    words    BYTES [n, 1]     of speech: what is said, as far as it was understood

`item_encoder` takes whatever parts an item has and answers for all of them in one call:

    text, image, audio, speech, video   BYTES [n, 1], each optional; empty where an item lacks the part
    vector   FP32  [n, 256]      the parts fused, unit length; zeros where `error` is not empty
    error    BYTES [n, 1]        empty unless no part of the item could be embedded
    vectors  FP32  [n, 5, 256]   of the parts, in the order above; zeros where absent or refused
    errors   BYTES [n, 5]        why a part was refused; empty where absent or embedded

`ranker`, where one was shipped, says how much each of n users wants each of m items:

    history     INT64 [n, 20]    `item_key` of the items clicked last, the latest last; 0 where there were fewer
    profile     FP32  [n, 256]   the user's profile vector, or zeros
    candidates  INT64 [n, m]     `item_key` of items; 0 fills up
    score       FP32  [n, m]     logit of a click; NaN where the model does not know the item
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

DIM = 256

CONTENT = "content"
VECTOR = "vector"
ERROR = "error"
NATIVE = "native"
LANGUAGE = "language"
WORDS = "words"
SPACE = "space"
REVISION = 1
"""Raise it when the code of an encoder changes so that its vectors do: no weights would tell."""

ITEM_MODEL = "item_encoder"
ITEM_MAX_BATCH = 16
VECTORS = "vectors"
ERRORS = "errors"

RANKER_MODEL = "ranker"
RANKER_MAX_BATCH = 64
HISTORY = "history"
HISTORY_LENGTH = 20
PROFILE = "profile"
CANDIDATES = "candidates"
SCORE = "score"

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


@dataclass(frozen=True, slots=True)
class Modality:
    """One kind of content.

    name             as in events and in stored vectors
    native_dim       width of the network's own vector, before projection to `DIM`
    max_batch        contents in one call, at most
    max_bytes        bytes of one content, at most
    media_types      what the content may be
    timeout_seconds  how long a client waits for a full batch before it gives up
    made_of          modalities whose native vectors begin its own, in this order
    part_of_item     false where it describes a user
    uploaded_as_file whether a client hands over a file rather than a field of the event
    has_language     whether the model has the output `language`
    has_words        whether the model has the output `words`
    """

    name: str
    native_dim: int
    max_batch: int
    max_bytes: int
    media_types: tuple[str, ...]
    timeout_seconds: float
    made_of: tuple[str, ...] = ()
    part_of_item: bool = True
    uploaded_as_file: bool = True
    has_language: bool = False
    has_words: bool = False

    @property
    def model(self) -> str:
        """The name of the Triton model."""
        return f"{self.name}_encoder"


_SOUND = (
    "audio/ogg",
    "audio/wav",
    "audio/x-wav",
    "audio/mpeg",
    "audio/flac",
    "audio/mp4",
    "audio/aac",
    "audio/webm",
)

MODALITIES: Mapping[str, Modality] = MappingProxyType(
    {
        modality.name: modality
        for modality in (
            Modality(
                name="text",
                native_dim=512,
                max_batch=64,
                max_bytes=MEBIBYTE,
                media_types=("text/plain",),
                timeout_seconds=10.0,
                uploaded_as_file=False,
                has_language=True,
            ),
            Modality(
                name="image",
                native_dim=512 + 1280,
                max_batch=16,
                max_bytes=16 * MEBIBYTE,
                media_types=("image/jpeg", "image/png", "image/webp", "image/gif"),
                timeout_seconds=20.0,
                made_of=("text",),
            ),
            Modality(
                name="audio",
                native_dim=512,
                max_batch=8,
                max_bytes=32 * MEBIBYTE,
                media_types=_SOUND,
                timeout_seconds=30.0,
            ),
            Modality(
                name="speech",
                native_dim=512 + 384,
                max_batch=8,
                max_bytes=32 * MEBIBYTE,
                media_types=_SOUND,
                timeout_seconds=30.0,
                made_of=("text",),
                has_words=True,
            ),
            Modality(
                name="video",
                native_dim=512 + 1280 + 512,
                max_batch=2,
                max_bytes=64 * MEBIBYTE,
                media_types=("video/mp4", "video/webm", "video/quicktime", "video/x-matroska"),
                timeout_seconds=60.0,
                made_of=("image", "audio"),
            ),
            Modality(
                name="profile",
                native_dim=128,
                max_batch=64,
                max_bytes=64 * KIBIBYTE,
                media_types=("application/json",),
                timeout_seconds=5.0,
                part_of_item=False,
                uploaded_as_file=False,
            ),
        )
    }
)

PARTS: tuple[str, ...] = tuple(name for name, modality in MODALITIES.items() if modality.part_of_item)
"""The modalities of an item, in the order of `item_encoder`'s outputs."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a ranker is asked about n users: its three inputs, as above."""

    history: NDArray[np.int64]
    profile: NDArray[np.float32]
    candidates: NDArray[np.int64]


def item_key(item_id: str) -> int:
    """A number for an item's id, the same everywhere: 64 bits of BLAKE2b, signed, never 0.

    >>> item_key("m-1") == item_key("m-1") != item_key("m-2")
    True
    """
    return int.from_bytes(blake2b(item_id.encode(), digest_size=8).digest(), "little", signed=True) or 1


def space_name(*made_of: bytes | str) -> str:
    """A short name for a space, the same on every machine: vectors compare where all they are made with is the same.

    made_of  names and numbers, in order

    >>> space_name("text", b"weights") == space_name("text", b"weights") != space_name("textw", b"eights")
    True
    """
    digest = blake2b(digest_size=6)
    for each in (str(REVISION), *made_of):
        data = each.encode() if isinstance(each, str) else each
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
