"""What the pipeline asks of the outside world. Adapters and the tests' fakes both pass one contract suite."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from encoders.contract import Question
from streams.core.user import UserState
from streams.core.vectors import Vector
from streams.events import Embedded


class Incoming(Struct, frozen=True, gc=False):
    """A message as it came from Kafka.

    published_at  when it was written to Kafka, seconds since the epoch
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    published_at: float


class Outgoing(Struct, frozen=True, gc=False):
    """A message to be written to Kafka.

    value  None takes back what was written under the key
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Logged(Struct, frozen=True, gc=False):
    """A message of a log that every worker follows: one partition, so that its order is the same for all.

    value  None where the message under a key was taken back
    """

    offset: int
    value: bytes | None


class Embeddings(Struct, frozen=True):
    """What an encoder made of a batch.

    vectors    one (dim,) float32 unit vector for each content, or None where it was refused
    errors     why it was refused; empty where it was not
    languages  ISO 639 code of the language it is in; empty where not clear or of no meaning
    words      what is said in it; empty where not understood or of no meaning
    space      the name of the space of these vectors; empty where nothing was asked or none is told
    """

    vectors: Sequence[Vector | None]
    errors: Sequence[str]
    languages: Sequence[str]
    words: Sequence[str]
    space: str = ""


class Store(Protocol):
    """Where users and items are kept. A write is durable once it returns.

    Writes name the epochs, by partition, under which their rows were read: see `core.ownership`.
    """

    async def claim(self, partitions: Collection[int], worker: str) -> Mapping[int, int]:
        """Become the one who writes the users and items of these partitions; partition -> its new epoch.

        Raises StoreUnavailable.
        """

    async def read_users(self, user_ids: Collection[str]) -> Mapping[str, UserState]:
        """The users that exist among these; who was forgotten and has not come back is there, but not `known`.

        Raises StoreUnavailable.
        """

    async def write_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        """A user who is stored with a higher version stays as they are. Raises StoreUnavailable, Fenced."""

    async def forget_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        """Erase what is stored of these users. Of each, these are kept apart from their name, for 400 days:

        version        for whoever comes back, and against what former owners still write
        forgotten_at   against events of before that still arrive
        recent_events  the requests to forget, against a second delivery

        A user who is stored with a higher version stays as they are. Raises StoreUnavailable, Fenced.
        """

    async def read_upload_times(self, item_ids: Collection[str]) -> Mapping[str, float]:
        """Item -> `at`, of those that exist among these. Raises StoreUnavailable."""

    async def write_items(self, items: Collection[Embedded], epochs: Mapping[int, int]) -> None:
        """An item whose stored upload is later (`Embedded.order`) stays as it is. Raises StoreUnavailable, Fenced."""


class Embedder(Protocol):
    """Turns raw content into vectors, many at a time."""

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        """Raises EmbedderUnavailable when there was no answer; a content that cannot be read is no exception."""


class Moderator(Protocol):
    """Says how harmful content is."""

    async def judge(self, words: str, language: str, media: Mapping[str, bytes]) -> Mapping[str, float]:
        """Part, 'text', 'image' or 'video' -> how harmful it is, 0 to 1; parts that are not there are left out.

        language  ISO 639 code of the words, empty where it is not clear
        media     modality -> a file that can be decoded
        """


class Arms(Struct, frozen=True):
    """Which versions of the deep ranker serve whom; 0 stands for none.

    stable  for everybody else
    canary  for a share of the users, 0 to 1
    others  loaded for arms of experiments that name them, and for nobody else
    shipped every version there is, loaded or not; empty where that is not told
    """

    stable: int = 0
    canary: int = 0
    share: float = 0.0
    others: tuple[int, ...] = ()
    shipped: tuple[int, ...] = ()

    @property
    def loaded(self) -> set[int]:
        """The versions that answer."""
        return {self.stable, self.canary, *self.others} - {0}


class Scorer(Protocol):
    """The deep ranker, where one was shipped."""

    async def arms(self) -> Arms:
        """Who is served by what, by now. Raises RankerUnavailable."""

    async def score(self, version: int, asked: Question) -> NDArray[np.float32]:
        """(n, m) logits of a click; NaN for items that the version does not know. Raises RankerUnavailable."""


class Media(Protocol):
    """Fetches the bytes behind a URI."""

    async def fetch(self, uri: str, limit: int) -> bytes:
        """At most `limit` bytes. Raises PartRefused."""


class Index(Protocol):
    """Finds items by fused vector, in this process."""

    def put(self, slot: int, vector: Vector) -> None:
        """Add the item in a slot of the recommender's catalogue, or move it."""

    def remove(self, slot: int) -> None:
        """Take the item out, if it is there."""

    def nearest(self, vector: Vector, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The slots most like a vector, best first, and their cosines: (n,) each, n at most `count`."""

    def save(self) -> bytes:
        """The index as bytes, for `load`."""

    def load(self, data: bytes | memoryview) -> None:
        """Become the index that was saved; nothing of the data is kept."""


class Sink(Protocol):
    """Writes to Kafka."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Returns once all are acknowledged; calls that overlap keep their order. Raises SinkUnavailable."""
