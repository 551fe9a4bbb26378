"""The numbers of a search, in one place."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

SMOOTHING = 60.0
"""The k of reciprocal rank fusion, as in the paper (see `fusion`): the larger, the less the first places stand out."""
WORDS, TASTE, LIKING = "words", "taste", "liking"
TEXT = "text"
"""The part of a question that its words are, when they are asked for by their meaning."""

# Tuned by cross-validation, see docs/search.md.
WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        WORDS: 2.0,
        "text in text": 2.5,
        "text in fused": 0.75,
        "text in image": 0.4,
        "text in audio": 0.25,
        "image in image": 0.7,
        "image in text": 0.1,
        "audio in audio": 0.7,
        "speech in text": 1.0,
        "speech in speech": 1.0,
        "video in video": 0.7,
        "video in image": 0.3,
    }
)
FLOORS: Mapping[str, float] = MappingProxyType(
    {WORDS: 0.05, "text in text": 0.4, "text in fused": 0.4, "text in image": 0.5}
)


class SearchSettings(Struct, frozen=True, kw_only=True):
    """The numbers a search goes by.

    weights    ranking -> what it counts: 'words', 'text in image' and so on; one without a weight is not made
    taste      what nearness to a user's taste counts beside these
    liking     what counts that an item would be recommended to them; with both 0 everybody gets the same order
    closeness  power of how well an item matches the words beside the best match: the higher, the less being liked
               moves up what matches less
    smoothing  the k of reciprocal rank fusion
    depth      places of each ranking that are looked at, at least
    floors     ranking -> what its best match must exceed, else it guesses and is left out: nonsense finds nothing
    sharpness  power of the cosines of what words mean: the higher, the less a loose likeness counts
    yielding   0 to below 1: the share that their meaning loses where one item has all the words; with 1 it would find
               nothing there
    exact      items that pass the filters, up to which each is compared instead of asking the index
    facets     values counted for each name, at most
    """

    weights: Mapping[str, float] = WEIGHTS
    taste: float = 0.0
    liking: float = 1.0
    closeness: float = 16.0
    smoothing: float = SMOOTHING
    depth: int = 100
    floors: Mapping[str, float] = FLOORS
    sharpness: float = 3.0
    yielding: float = 0.9
    exact: int = 20_000
    facets: int = 10

    @property
    def counting(self) -> dict[str, float]:
        """What each ranking counts, those of a user included."""
        return {**self.weights, TASTE: self.taste, LIKING: self.liking}
