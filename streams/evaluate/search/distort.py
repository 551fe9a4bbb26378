"""What people do to words and pictures before they search with them: slips, other words, a photograph of it."""

import io
import re
from string import ascii_lowercase

import numpy as np
from PIL import Image, ImageEnhance

from streams.evaluate.search.wordnet import WordNet

Generator = np.random.Generator
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
PLOT_WORDS = 10


def misspelt(text: str, generator: Generator) -> str:
    """One slip in the longest word: a letter left out, added, wrong, or swapped with the next."""
    words = text.split()
    place = max(range(len(words)), key=lambda each: len(words[each]))
    word = words[place]
    at, letter = int(generator.integers(len(word))), ascii_lowercase[generator.integers(26)]
    before, here, after = word[:at], word[at], word[at + 1 :]
    slips = (
        before + after,
        before + letter + here + after,
        before + letter + after,
        before + after[:1] + here + after[1:],
    )
    words[place] = slips[generator.integers(len(slips))]
    return " ".join(words)


def retold(plot: str, lexicon: WordNet, generator: Generator) -> str:
    """A plot as somebody else might tell it: no names, ten of its words, in order, half of them in other words.

    Names are what is written with a capital letter; of the rest, words that the lexicon does not know, such as 'the',
    are left out. Empty where fewer than three words remain.
    """
    known = [
        word for word in _WORD.findall(plot) if word.islower() and len(word) > 2 and lexicon.others(word) is not None
    ]
    if len(known) < 3:
        return ""
    chosen = np.sort(generator.permutation(len(known))[:PLOT_WORDS])
    told = []
    for word in (known[place] for place in chosen):
        others = lexicon.others(word)
        told.append(others[generator.integers(len(others))] if others and generator.random() < 0.5 else word)
    return " ".join(told)


def photographed(picture: bytes, generator: Generator) -> bytes:
    """As if somebody had taken a photograph of it, as JPEG.

    On white; four fifths of its width and height, from anywhere; turned by up to 12 degrees; every other one mirrored;
    brightness by 0.7 to 1.3 and colour by 0.5 to 1.5; at most 160 pixels wide and high; JPEG of quality 40.
    """
    opened = Image.open(io.BytesIO(picture)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened).convert("RGB")
    width, height = (int(0.8 * side) for side in image.size)
    left, top = (
        int(generator.integers(whole - part + 1)) for whole, part in zip(image.size, (width, height), strict=True)
    )
    image = image.crop((left, top, left + width, top + height)).rotate(generator.uniform(-12, 12), fillcolor="white")
    if generator.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(generator.uniform(0.7, 1.3))
    image = ImageEnhance.Color(image).enhance(generator.uniform(0.5, 1.5))
    image.thumbnail((160, 160))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return file.getvalue()
