"""What every encoder does: read each content, embed the good ones together, project to the shared space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from encoders.contract import DIM, Modality, space_name
from encoders.errors import Refused
from encoders.projection import Projection
from encoders.weights import WEIGHTS

Floats = NDArray[np.float32]
Prepared = TypeVar("Prepared")


class Encoded(NamedTuple):
    """What became of a batch of contents.

    vectors    (n, DIM) float32, unit length; zeros where refused
    natives    (n, native_dim) float32, before projection; zeros where refused
    errors     n reasons, empty where not refused
    languages  n ISO 639 codes, empty where not clear or of no meaning
    words      what is said in each, empty where not understood or of no meaning
    """

    vectors: Floats
    natives: Floats
    errors: list[str]
    languages: list[str]
    words: list[str]


class Encoder(ABC, Generic[Prepared]):
    """Raw contents of one modality in, vectors of the shared space out.

    A content that cannot be read never harms its neighbours, and an encoder gives the same vector for a
    content alone and in a batch.
    """

    modality: Modality
    weights: ClassVar[tuple[str, ...]] = ()
    """Those of `encoders.weights.WEIGHTS` that a vector is made with."""

    def __init__(self, projection: Projection | None = None, device: str = "cpu") -> None:
        """Load the weights.

        projection  by default the trained one where there is one (`Projection.load`)
        device      where a network runs: 'cpu' or torch's 'cuda:0'; of no meaning without a network
        """
        self._projection = projection or Projection.load(self.modality)
        self._device = device

    @property
    def space(self) -> str:
        """The name of the space its vectors are in, by all that goes into them."""
        sums = [WEIGHTS[each].sha256 for each in self.weights]
        return space_name(self.modality.name, *sums, *self.precisions(), self._projection.name)

    def precisions(self) -> Sequence[str]:
        """What its networks compute in."""
        return ()

    @classmethod
    @abstractmethod
    def sample(cls) -> bytes:
        """A small valid content, to warm up with."""

    @abstractmethod
    def read(self, content: bytes) -> Prepared:
        """Decode and preprocess one content. Raises Refused."""

    @abstractmethod
    def embed(self, batch: Sequence[Prepared]) -> Floats:
        """(n, native_dim): the network's vectors for n > 0 prepared contents."""

    def language(self, prepared: Prepared) -> str:
        """The ISO 639 code of the language that one content is in; empty where that is not clear."""
        return ""

    def words(self, prepared: Prepared) -> str:
        """What is said in one content; empty where that is of no meaning."""
        return ""

    def encode(self, contents: Sequence[bytes]) -> Encoded:
        """Embed any number of contents, at most `modality.max_batch` at a time."""
        natives = np.zeros((len(contents), self.modality.native_dim), np.float32)
        vectors = np.zeros((len(contents), DIM), np.float32)
        errors, languages, words = [""] * len(contents), [""] * len(contents), [""] * len(contents)
        for start in range(0, len(contents), self.modality.max_batch):
            prepared: dict[int, Prepared] = {}
            for row in range(start, min(start + self.modality.max_batch, len(contents))):
                try:
                    prepared[row] = self._read(contents[row])
                    languages[row] = self.language(prepared[row])
                    words[row] = self.words(prepared[row])
                except Refused as refusal:
                    errors[row] = str(refusal)
            if prepared:
                rows = list(prepared)
                natives[rows] = self.embed(list(prepared.values()))
                vectors[rows] = self._projection(natives[rows])
        return Encoded(vectors, natives, errors, languages, words)

    def _read(self, content: bytes) -> Prepared:
        if not content:
            raise Refused(self.modality.name, "Empty", "there are no bytes")
        if len(content) > self.modality.max_bytes:
            detail = f"{len(content)} bytes, where {self.modality.max_bytes} are allowed"
            raise Refused(self.modality.name, "TooLarge", detail)
        return self.read(content)
