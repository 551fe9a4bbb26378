"""Arrays and ids as bytes and back, under a version: a worker starts from these, not from the whole log.

The bytes are a head, which says what follows, and the arrays themselves. Neither way copies these: what is written is
their memory, what is read is a view of the file's. A million items are some gigabytes.
"""

from collections.abc import Mapping
from mmap import mmap
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.core.memory.expert import State

MAGIC = b"anabranch-memory"
VERSION = 4
ALIGNED = 64
"""Each array begins at a multiple of so many bytes, as compiled code expects of its kind of numbers."""

Bytes = bytes | memoryview | mmap
T = TypeVar("T")


class UnknownSnapshot(ValueError):
    """The bytes are no snapshot, or one of a version or of settings that this code cannot read."""


class _Array(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    shape: tuple[int, ...]


class _Head(msgspec.Struct, frozen=True):
    """ids     name -> strings, as of items, users and events
    arrays  part -> name -> array, in the order in which they follow
    """

    ids: dict[str, list[str]]
    arrays: dict[str, dict[str, _Array]]


def pack(ids: Mapping[str, list[str]], parts: Mapping[str, State]) -> list[Bytes]:
    """What to write, one after the other; the inverse of `unpack`.

    >>> ids, parts = unpack(b"".join(pack({"items": ["a"]}, {"similar": {"sizes": np.array([2.5])}})))
    >>> ids, parts["similar"]["sizes"].tolist()
    ({'items': ['a']}, [2.5])
    """
    arrays = {
        part: {name: _Array(array.dtype.str, array.shape) for name, array in state.items()}
        for part, state in parts.items()
    }
    head = msgspec.msgpack.encode(_Head(dict(ids), arrays))
    first = MAGIC + VERSION.to_bytes(2, "big") + len(head).to_bytes(8, "big") + head
    found: list[Bytes] = [first, _up_to_a_multiple(len(first))]
    for state in parts.values():
        for array in state.values():
            found += [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, _up_to_a_multiple(array.nbytes)]
    return found


def unpack(data: Bytes) -> tuple[dict[str, list[str]], dict[str, State]]:
    """(ids, parts) as given to `pack`; the arrays are read-only views of the data. Raises UnknownSnapshot."""
    view = memoryview(data)
    start = len(MAGIC)
    if bytes(view[:start]) != MAGIC:
        raise UnknownSnapshot(f"not a snapshot of the memory: starts with {bytes(view[:start])!r}")
    version, size = int.from_bytes(view[start : start + 2], "big"), int.from_bytes(view[start + 2 : start + 10], "big")
    if version != VERSION:
        raise UnknownSnapshot(f"snapshot of version {version}, where this code reads version {VERSION}")
    end = start + 10 + size
    try:
        head = msgspec.msgpack.decode(view[start + 10 : end], type=_Head)
        parts: dict[str, State] = {part: {} for part in head.arrays}
        for part, arrays in head.arrays.items():
            for name, stored in arrays.items():
                end += len(_up_to_a_multiple(end))
                array = _view(view, end, stored)
                parts[part][name] = array
                end += array.nbytes
        if len(view) != end + len(_up_to_a_multiple(end)):
            raise ValueError(f"it has {len(view)} bytes, where its arrays end at {end}")
    except (msgspec.DecodeError, ValueError) as error:
        raise UnknownSnapshot(f"snapshot of version {version} is damaged: {error}") from error
    return head.ids, parts


def _view(data: memoryview, start: int, stored: _Array) -> NDArray[np.generic]:
    """Raises ValueError where the data ends before the array does."""
    count = int(np.prod(stored.shape, dtype=np.int64))
    kind = np.dtype(stored.kind)
    if not count:
        return np.zeros(stored.shape, kind)
    return np.frombuffer(data, kind, count, start).reshape(stored.shape)


def _up_to_a_multiple(size: int) -> bytes:
    """What is missing there."""
    return bytes(-size % ALIGNED)


def under(name: str, things: Mapping[str, T]) -> dict[str, T]:
    """A snapshot's ids or parts as they are within a larger one; the inverse of `below`.

    >>> below("inner", {"own": 1} | under("inner", {"items": 2}))
    {'items': 2}
    """
    return {f"{name}/{key}": thing for key, thing in things.items()}


def below(name: str, things: Mapping[str, T]) -> dict[str, T]:
    """Those that were put under this name."""
    return {key.removeprefix(f"{name}/"): thing for key, thing in things.items() if key.startswith(f"{name}/")}
