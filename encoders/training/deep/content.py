"""What is said of items and users, as arrays that networks take."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

from encoders.contract import DIM, MODALITIES
from encoders.contract import PARTS as MODALITIES_OF_ITEMS
from encoders.projection import Projection
from encoders.training.deep.log import Log
from encoders.training.natives import natives

Array = NDArray[np.generic]
Content = Mapping[str, Array]

TOKENS = 32
VOCABULARY = 4_000
PAD, UNKNOWN = "[PAD]", "[UNK]"
PIXELS = (36, 24)
"""Height and width of a picture; posters are upright."""


def words(log: Log, cache: Path) -> Array:
    """(items, TOKENS) int64: sub-words of each text (WordPiece), learned from these very texts; 0 past its end."""
    tokenizer = Tokenizer(WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    trainer = WordPieceTrainer(
        vocab_size=VOCABULARY, min_frequency=2, special_tokens=[PAD, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(log.texts, trainer)
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS, pad_id=0, pad_token=PAD)
    return np.array([each.ids for each in tokenizer.encode_batch(list(log.texts))], np.int64)


def pixels(log: Log, cache: Path) -> Array:
    """(items, 3, *PIXELS) uint8: each picture made small; zeros where there is none, or it cannot be read."""
    return np.stack([_pixels(each) for each in log.files_of("image")])


def _pixels(picture: bytes | None) -> Array:
    height, width = PIXELS
    if picture is None:
        return np.zeros((3, height, width), np.uint8)
    try:
        small = Image.open(io.BytesIO(picture)).convert("RGB").resize((width, height), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError):
        return np.zeros((3, height, width), np.uint8)
    return np.asarray(small).transpose(2, 0, 1).copy()


def vectors(modality: str, log: Log, cache: Path) -> Array:
    """(items, DIM) float32 of a pretrained encoder, as workers hold them; zeros where an item lacks the part."""
    contents = [text.encode() for text in log.texts] if modality == "text" else log.files_of(modality)
    return embedded(modality, contents, cache)


def embedded(modality: str, contents: Sequence[bytes | None], cache: Path) -> NDArray[np.float32]:
    """(n, DIM) float32 of a pretrained encoder; zeros where there is no content, or it was refused."""
    having = [place for place, content in enumerate(contents) if content]
    found = np.zeros((len(contents), DIM), np.float32)
    native = natives(modality, [content for content in contents if content], cache)
    project = Projection.load(MODALITIES[modality])
    placed = project(native)
    placed[~native.any(axis=1)] = 0
    found[having] = placed
    return found


def profiles(log: Log, cache: Path) -> NDArray[np.float32]:
    """(users, DIM) float32: who users say to be; zeros where they do not."""
    return embedded("profile", log.traits, cache)


ITEM, WORDS, PIXEL, TEXT, IMAGE, AUDIO = "item", "words", "pixels", "text", "image", "audio"
PARTS: Mapping[str, Callable[[Log, Path], Array]] = {
    ITEM: lambda log, cache: np.arange(len(log.item_ids)),
    WORDS: words,
    PIXEL: pixels,
    **{modality: partial(vectors, modality) for modality in MODALITIES_OF_ITEMS},
}
"""What an item can be known by: the item itself; its text and its picture, from which a network learns to read and to
see; and the vectors that the pretrained encoders make of its text, picture, sound, speech and video."""


def modalities(parts: Iterable[str]) -> set[str]:
    """Those whose files are needed for these parts."""
    wanted = {IMAGE if part == PIXEL else part for part in parts}
    return {each for each in MODALITIES_OF_ITEMS if each in wanted and MODALITIES[each].uploaded_as_file}


def content(log: Log, parts: Sequence[str], cache: Path) -> dict[str, Array]:
    """Part -> its array, one row an item.

    parts  some of `PARTS`
    cache  where native vectors are kept
    """
    return {part: PARTS[part](log, cache) for part in parts}
