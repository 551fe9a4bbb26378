"""How harmful words and pictures are, from 0 to 1, by networks and lists that packages bring along.

Pictures: Yahoo's open_nsfw, a ResNet-50 that tells pornography from other pictures; a film is as harmful as the worst
of some frames. Words: lists for 25 languages,
matched as whole words, also where letters are doubled, parted or replaced by digits. They know words, not what is
meant: hatred in polite words passes, and a novel about a whale may not.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from badwords import Options, ProfanityFilter
from numpy.typing import NDArray
from PIL import Image

from encoders import networks
from encoders.image import CROP, SIDE, decode
from encoders.video import candidates
from encoders.weights import locate

Floats = NDArray[np.float32]

ENGLISH = "en"
MEANS = np.array([104, 117, 123], np.float32)  # of blue, green and red, as the network learned
DENSE = 5.0  # a text of which one word in so many is on a list is as harmful as can be
FRAMES = 16  # of a film that are looked at, some .3 s of a core: a scene may lie between two
ONE_WORD = 0.5, 0.8  # at least and at most: a single word may be a name, and refuses nothing by itself


class Words:
    """Tells harmful texts.

    allowed  words that are never harmful here, such as the names in a catalogue
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = sorted(allowed)
        self._known = frozenset(_filter((), ()).available_languages())

    def score(self, text: str, language: str) -> float:
        """0 without a listed word, 0.5 to 0.8 with one, more the more there are among few, up to 1.

        language  ISO 639 code; that of the text and English are looked at, English alone where it is not known

        >>> words = Words(allowed=["dick"])
        >>> words.score("Moby Dick, a novel about a white whale", "en"), words.score("Was für ein Arschloch", "de")
        (0.0, 0.8)
        """
        languages = tuple(sorted({ENGLISH, language} & self._known))
        found = _filter(languages, tuple(self._allowed)).find(text)
        least, lone = ONE_WORD
        most = 1.0 if len(found) > 1 else lone
        return min(most, max(least, DENSE * len(found) / len(text.split()))) if found else 0.0


class Pictures:
    """Tells pornographic pictures, and films."""

    def __init__(self) -> None:
        self._network = networks.session(locate("unsafe pictures"))

    def scores(self, contents: Sequence[bytes]) -> list[float]:
        """The probability of each. Raises Refused for one that cannot be read."""
        return self._scores([decode(content) for content in contents])

    def film(self, content: bytes) -> float:
        """The highest probability of the frames that are looked at. Raises Refused for a film that cannot be read."""
        return max(self._scores(spread(candidates(content), FRAMES)))

    def _scores(self, pictures: Sequence[Image.Image]) -> list[float]:
        if not pictures:
            return []
        [answers] = self._network.run(None, {"input:0": np.stack([prepare(each) for each in pictures])})
        return [float(each) for each in answers[:, 1]]


def spread(pictures: Sequence[Image.Image], count: int) -> list[Image.Image]:
    """At most so many of the pictures, evenly spread from the first to the last."""
    places = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int))
    return [pictures[place] for place in places]


def prepare(picture: Image.Image) -> Floats:
    """(224, 224, 3): the middle of the picture squeezed to 256 x 256, blue first, less the mean."""
    edge = (SIDE - CROP) // 2
    squeezed = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR).crop((edge, edge, edge + CROP, edge + CROP))
    return np.ascontiguousarray(np.asarray(squeezed, np.float32)[:, :, ::-1] - MEANS)


@lru_cache(maxsize=32)
def _filter(languages: tuple[str, ...], allowed: tuple[str, ...]) -> Any:
    words = ProfanityFilter()
    options = Options(split_on_punctuation=True, collapse_repeats=True, leetspeak=True)
    words.init(languages=list(languages), options=options)
    words.add_whitelist(allowed)
    return words
