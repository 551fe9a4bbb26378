"""The outside world in memory; each passes the same contract suite as its real adapter."""

import copy
import zlib
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import msgspec
import numpy as np

from encoders.contract import DIM
from streams.core.digest import digest
from streams.core.history import History
from streams.core.ownership import next_epoch
from streams.core.user import UserState
from streams.core.vectors import unit
from streams.errors import EmbedderUnavailable, Fenced, StoreUnavailable
from streams.events import Embedded
from streams.ports import Embeddings, Outgoing


class FakeStore:
    """Keeps copies, as a database would: changing a user after the write changes nothing here."""

    def __init__(self) -> None:
        self.users: dict[str, UserState] = {}
        self.forgotten: dict[bytes, UserState] = {}
        self.items: dict[str, Embedded] = {}
        self.epochs: dict[int, int] = {}
        self.down = False
        self.reads = 0

    async def claim(self, partitions: Collection[int], worker: str) -> Mapping[int, int]:
        self._check()
        claimed = {partition: next_epoch(self.epochs.get(partition), 0.0) for partition in partitions}
        self.epochs |= claimed
        return claimed

    async def read_users(self, user_ids: Collection[str]) -> Mapping[str, UserState]:
        self._check()
        self.reads += 1
        found = {user_id: self.users.get(user_id) or self._blank(user_id) for user_id in user_ids}
        return {user_id: copied(user) for user_id, user in found.items() if user is not None}

    def _blank(self, user_id: str) -> UserState | None:
        noted = self.forgotten.get(digest(user_id))
        return noted and msgspec.structs.replace(noted, user_id=user_id)

    async def write_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        self._check()
        for user in users:
            stored = self.users.get(user.user_id) or self._blank(user.user_id)
            if stored is None or user.version >= stored.version:
                self.users[user.user_id] = copied(user)
        self._check_epochs(epochs)

    async def forget_users(self, users: Collection[UserState], epochs: Mapping[int, int]) -> None:
        self._check()
        for user in users:
            stored = self.users.get(user.user_id) or self._blank(user.user_id)
            if stored is None or user.version >= stored.version:
                self.users.pop(user.user_id, None)
                self.forgotten[digest(user.user_id)] = msgspec.structs.replace(copied(user), user_id="")
        self._check_epochs(epochs)

    async def read_upload_times(self, item_ids: Collection[str]) -> Mapping[str, float]:
        self._check()
        return {item_id: self.items[item_id].at for item_id in item_ids if item_id in self.items}

    async def write_items(self, items: Collection[Embedded], epochs: Mapping[int, int]) -> None:
        self._check()
        for item in items:
            stored = self.items.get(item.item_id)
            if stored is None or item.order >= stored.order:
                self.items[item.item_id] = item
        self._check_epochs(epochs)

    def _check_epochs(self, epochs: Mapping[int, int]) -> None:
        for partition, epoch in epochs.items():
            if self.epochs.get(partition) != epoch:
                raise Fenced(f"partition {partition} was claimed by another worker")

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("the fake store is down")


def copied(user: UserState) -> UserState:
    """The user as a store would give them back: without the arrays that point into this process's catalogue."""
    history = History.of(zip(user.history.item_ids, user.history.times, user.history.weights, strict=True))
    return copy.deepcopy(msgspec.structs.replace(user, history=history))


class FakeEmbedder:
    """Each word has a random direction; a content's vector is their sum. Refuses what starts with 'corrupt'.

    Of a text's language it knows that German has 'ein'. Speech is its own words.
    """

    def __init__(self) -> None:
        self.down = False
        self.space = "fake"
        self.calls: list[tuple[str, int]] = []

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        if self.down:
            raise EmbedderUnavailable("the fake embedder is down")
        self.calls.append((modality, len(contents)))
        refused = [content.startswith(b"corrupt") for content in contents]
        vectors = [None if bad else self._vector(content) for content, bad in zip(contents, refused, strict=True)]
        german = [modality == "text" and b"ein" in content.lower().split() for content in contents]
        return Embeddings(
            vectors,
            ["Undecodable: it says so itself" if bad else "" for bad in refused],
            ["de" if each else "" for each in german],
            [
                content.decode() if modality == "speech" and not bad else ""
                for content, bad in zip(contents, refused, strict=True)
            ],
            self.space if contents else "",
        )

    @staticmethod
    def _vector(content: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        words = content.lower().split() or [b""]
        return unit(np.sum([_direction(word) for word in words], axis=0).astype(np.float32))


@lru_cache(maxsize=10_000)
def _direction(word: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(zlib.crc32(word)).standard_normal(DIM)


class FakeModerator:
    """Finds words harmful that say so: 'mild' is held, 'vile' refused; of a picture or a film, its own words."""

    def __init__(self) -> None:
        self.judged = 0

    async def judge(self, words: str, language: str, media: Mapping[str, bytes]) -> dict[str, float]:
        self.judged += 1
        seen = {name: media[name].decode(errors="replace") for name in ("image", "video") if name in media}
        parts = {"text": words, **seen} if words else seen
        return {part: self._score(content) for part, content in parts.items()}

    @staticmethod
    def _score(words: str) -> float:
        return 1.0 if "vile" in words else 0.7 if "mild" in words else 0.1


class FakeSink:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        self.messages += messages

    def on(self, topic: str) -> list[Outgoing]:
        return [message for message in self.messages if message.topic == topic]
