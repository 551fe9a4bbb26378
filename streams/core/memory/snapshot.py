"""Arrays and ids as bytes and back, under a version: a worker starts from these, not from the whole log."""

import msgspec
import numpy as np

from streams.core.memory.expert import State

MAGIC = b"anabranch-memory"
VERSION = 3


class UnknownSnapshot(ValueError):
    """The bytes are no snapshot, or one of a version or of settings that this code cannot read."""


class StoredArray(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    shape: tuple[int, ...]
    data: bytes


class Snapshot(msgspec.Struct, frozen=True):
    """ids     name -> strings, as of items, users and events
    arrays  part -> name -> array
    """

    ids: dict[str, list[str]]
    arrays: dict[str, dict[str, StoredArray]]


def pack(ids: dict[str, list[str]], parts: dict[str, State]) -> bytes:
    """The inverse of `unpack`.

    >>> ids, parts = unpack(pack({"items": ["a"]}, {"similar": {"sizes": np.array([2.5])}}))
    >>> ids, parts["similar"]["sizes"].tolist()
    ({'items': ['a']}, [2.5])
    """
    arrays = {
        part: {name: StoredArray(array.dtype.str, array.shape, array.tobytes()) for name, array in state.items()}
        for part, state in parts.items()
    }
    return MAGIC + VERSION.to_bytes(2, "big") + msgspec.msgpack.encode(Snapshot(ids, arrays))


def unpack(data: bytes) -> tuple[dict[str, list[str]], dict[str, State]]:
    """(ids, parts) as given to `pack`. Raises UnknownSnapshot."""
    head = len(MAGIC) + 2
    if data[: len(MAGIC)] != MAGIC:
        raise UnknownSnapshot(f"not a snapshot of the memory: starts with {data[:head]!r}")
    version = int.from_bytes(data[len(MAGIC) : head], "big")
    if version != VERSION:
        raise UnknownSnapshot(f"snapshot of version {version}, where this code reads version {VERSION}")
    try:
        snapshot = msgspec.msgpack.decode(data[head:], type=Snapshot)
    except msgspec.DecodeError as error:
        raise UnknownSnapshot(f"snapshot of version {version} is damaged: {error}") from error
    parts: dict[str, State] = {
        part: {
            name: np.frombuffer(stored.data, np.dtype(stored.kind)).reshape(stored.shape)
            for name, stored in arrays.items()
        }
        for part, arrays in snapshot.arrays.items()
    }
    return snapshot.ids, parts
