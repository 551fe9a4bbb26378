"""Uploads that are held: which wait for a moderator, what is sent once one has decided, and what was decided last."""

from bisect import bisect_left, insort
from hashlib import sha256
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from streams.core.moderation import seal
from streams.events import Decided, Held, Upload, reading

read_held = reading(Held)
_read_decided = reading(Decided)


class Place(Struct, frozen=True, gc=False):
    """Where in `moderation.queue` a message is."""

    partition: int
    offset: int


class Waits(Struct, frozen=True, gc=False):
    """As much of an upload that waits as is kept in memory: some 500 bytes, its place in dicts and lists included.

    fingerprint  see `fingerprint`
    place        where the upload is
    """

    held_at: float
    fingerprint: bytes
    place: Place


class Waiting:
    """What waits, as the messages of `moderation.queue` tell: hand each to `outdate`, and those with a value to `take`.

    The uploads themselves, up to 1 MiB each, stay in Kafka, however many wait.
    """

    def __init__(self) -> None:
        self._known: dict[str, Waits] = {}
        self._order: list[tuple[float, str]] = []  # of those that are open, sorted

    def __len__(self) -> int:
        """How many are open."""
        return len(self._order)

    def get(self, item_id: str) -> Waits | None:
        """Of an item, until its message is outdated."""
        return self._known.get(item_id)

    def outdate(self, key: bytes | None) -> tuple[str, Waits | None]:
        """Drop what was written under this key before; the item that it names, and what was dropped."""
        item_id = (key or b"").decode(errors="replace")
        self.close(item_id)
        return item_id, self._known.pop(item_id, None)

    def take(self, value: bytes, place: Place) -> str:
        """Add the upload of this message, and name its item. Raises Rejected where the message cannot be read."""
        held = read_held(value)
        item_id = held.upload.item_id
        self.close(item_id)
        self._known[item_id] = Waits(held.held_at, fingerprint(held), place)
        insort(self._order, (held.held_at, item_id))
        return item_id

    def close(self, item_id: str) -> None:
        """Somebody has decided: it is on no page any more."""
        waits = self._known.get(item_id)
        if waits is None:
            return
        entry = waits.held_at, item_id
        at = bisect_left(self._order, entry)
        if self._order[at : at + 1] == [entry]:
            del self._order[at]

    def page(self, offset: int, limit: int, *, newest: bool = False) -> list[Waits]:
        """Some of those that are open, the longest, or the newest, first."""
        end = len(self._order) - offset if newest else offset + limit
        some = self._order[max(0, end - limit) : max(0, end)]
        return [self._known[item_id] for _, item_id in (reversed(some) if newest else some)]


class Decisions:
    """What was decided last, as the messages of `moderation.decisions` tell.

    limit  of them are kept
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._latest: list[Decided] = []

    def take(self, value: bytes) -> None:
        """The value of the next message; a repeated one changes nothing. Raises Rejected where it cannot be read."""
        decided = _read_decided(value)
        if all(decided.event_id != each.event_id for each in self._latest):
            insort(self._latest, decided, key=lambda each: each.decided_at)
            del self._latest[: -self._limit]

    def latest(self) -> list[Decided]:
        """The latest first."""
        return self._latest[::-1]


def fingerprint(held: Held) -> bytes:
    """SHA-256 of what a moderator looks at, files included: it differs once anything of that does."""
    return sha256(held.upload.content(held.digests)).digest()


def allowing(held: Held, key: bytes, *, moderator: str, at: float, note: str = "") -> Upload:
    """The upload again, sealed: its item is listed from now on, unless it has been uploaded anew since.

    The seal is of the files that were looked at: had one been replaced meanwhile, the item would be looked at anew.

    key        with which moderators seal what they allow
    moderator  who decided; empty where that is not known
    at         when, seconds since the epoch
    """
    sealed = seal(key, held.upload.content(held.digests))
    event_id = f"allowed-{uuid4()}"
    return replace(held.upload, event_id=event_id, allowed=sealed, note=note, moderator=moderator, decided_at=at)


def refusing(held: Held, *, moderator: str, at: float, note: str = "") -> Upload:
    """An upload that withdraws the item for good; a new upload of it is looked at anew. See `allowing`."""
    of = held.upload
    return Upload(
        event_id=f"refused-{uuid4()}",
        ts=of.ts,
        item_id=of.item_id,
        withdrawn=True,
        note=note,
        moderator=moderator,
        decided_at=at,
    )
