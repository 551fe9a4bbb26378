"""The moderators' desk: the uploads that wait, as the topic tells, and decisions, each on what was looked at alone.

However much waits, the uploads stay in Kafka; where each is there is known, and a page is read from there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from streams import metrics
from streams.core.moderation import Limits, reached
from streams.errors import AnabranchError
from streams.events import FILES, Held, encode, read
from streams.held import Decisions, Place, Waiting, Waits, allowing, fingerprint, read_held, refusing
from streams.ports import Incoming, Outgoing, Sink
from streams.web.answers import Accepted, Decision, HeldUpload, HeldUploads, Order
from streams.web.catalogue import File

UPLOADS = "events.upload"
REMEMBERED = 10_000  # uploads that have left, so that who decides too late is told so
SHOWN_DECISIONS = 20

Lookup = Callable[[Sequence[tuple[int, int]]], Awaitable[Sequence[bytes | None]]]


class NotHeld(AnabranchError):
    """Nothing of this name waits, or did lately."""


class Outdated(AnabranchError):
    """What was looked at has changed, or somebody has decided."""


class _Left(Struct, frozen=True):
    """What became of an upload: decided here, and perhaps not taken up by a worker yet; or gone, nobody here knows why.

    fingerprint  of what waited
    decision     empty where it was not made here
    event_id     of what was sent
    moderator    who decided, empty where that is not known
    """

    fingerprint: bytes
    decision: str = ""
    event_id: str = ""
    moderator: str = ""


class Desk:
    """What moderators see and decide.

    key     with which they seal what they allow
    limits  part -> scores from which uploads are held
    lookup  places of `moderation.queue` -> the values there, None where there is none any more
    clock   the wall clock, seconds since the epoch
    """

    def __init__(
        self,
        key: bytes,
        limits: Mapping[str, Limits],
        sink: Sink,
        lookup: Lookup,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._limits = limits
        self._sink = sink
        self._lookup = lookup
        self._clock = clock
        self._waiting = Waiting()
        self._decisions = Decisions(SHOWN_DECISIONS)
        self._left: dict[str, _Left] = {}
        self._one_at_a_time = asyncio.Lock()

    def take(self, message: Incoming) -> None:
        """The next message of `moderation.queue`; what its key named before waits no more. Raises Rejected."""
        item_id, outdated = self._waiting.outdate(message.key)
        if outdated is not None and item_id not in self._left:
            self._leave(item_id, _Left(outdated.fingerprint))
        try:
            if message.value is not None:
                self._left.pop(self._waiting.take(message.value, Place(message.partition, message.offset)), None)
        finally:
            metrics.HELD.set(len(self._waiting))

    def decided(self, value: bytes) -> None:
        """The value of the next message of `moderation.decisions`. Raises Rejected."""
        self._decisions.take(value)

    async def page(self, order: Order, offset: int, limit: int) -> HeldUploads:
        """Some of what nobody has decided on yet, and what was decided last. Raises KafkaUnavailable."""
        held = await self._read(self._waiting.page(offset, limit, newest=order == "newest"))
        shown = [self._shown(each) for each in held if each is not None]
        return HeldUploads(shown, len(self._waiting), self._decisions.latest())

    async def file(self, item_id: str, modality: str) -> File | None:
        """Where a file of an upload that waits is; None where none was looked at. Raises KafkaUnavailable."""
        waits = self._waiting.get(item_id)
        [held] = await self._read([waits]) if waits is not None else [None]
        if held is None or modality not in _files(held):
            return None
        return File(held.upload.media[modality], held.digests[modality])

    async def decide(self, item_id: str, made: Decision, moderator: str) -> Accepted:
        """Send what was decided, once Kafka has it the upload waits no more; said twice, it is sent once.

        moderator  who decides; empty where that is not known

        Raises NotHeld, Outdated, Rejected where the upload has no room for a note, SinkUnavailable, KafkaUnavailable.
        """
        async with self._one_at_a_time:
            waits, left = self._waiting.get(item_id), self._left.get(item_id)
            if left is not None:
                return _repeated(item_id, made, left)
            if waits is None:
                raise NotHeld(f"item {item_id!r} is not held")
            [held] = await self._read([waits])
            if held is None or waits.fingerprint.hex() != made.fingerprint:
                raise Outdated(f"item {item_id!r} was uploaded anew, or a file of it has changed: look again")
            now = self._clock()
            if made.decision == "allow":
                upload = allowing(held, self._key, moderator=moderator, at=now, note=made.note)
            else:
                upload = refusing(held, moderator=moderator, at=now, note=made.note)
            value = encode(upload)
            read(UPLOADS, value, now=now)
            await self._sink.publish([Outgoing(UPLOADS, item_id.encode(), value)])
            metrics.DECIDED.labels(made.decision).inc()
            if self._waiting.get(item_id) in (waits, None):  # or a worker was faster, and something else waits
                self._leave(item_id, _Left(waits.fingerprint, made.decision, upload.event_id, moderator))
            return Accepted(upload.event_id, UPLOADS)

    async def _read(self, some: Sequence[Waits]) -> list[Held | None]:
        values = await self._lookup([(each.place.partition, each.place.offset) for each in some])
        return [None if value is None else read_held(value) for value in values]

    def _leave(self, item_id: str, left: _Left) -> None:
        self._waiting.close(item_id)
        metrics.HELD.set(len(self._waiting))
        self._left[item_id] = left
        if len(self._left) > REMEMBERED:
            del self._left[next(iter(self._left))]

    def _shown(self, held: Held) -> HeldUpload:
        upload = held.upload
        return HeldUpload(
            item_id=upload.item_id,
            title=upload.title,
            text=upload.text,
            attributes=upload.attributes,
            media=_files(held),
            scores=held.scores,
            why=reached(held.scores, self._limits),
            held_at=held.held_at,
            uploaded_at=upload.ts,
            fingerprint=fingerprint(held).hex(),
        )


def _files(held: Held) -> list[str]:
    """The modalities of its files that were looked at."""
    return [modality for modality in held.upload.media if modality in FILES and modality in held.digests]


def _repeated(item_id: str, made: Decision, left: _Left) -> Accepted:
    """The same answer to the same decision, as when an answer was lost and the question is asked again."""
    if (left.fingerprint.hex(), left.decision) == (made.fingerprint, made.decision):
        return Accepted(left.event_id, UPLOADS)
    decided = {"allow": "it was allowed", "refuse": "it was refused"}
    why = decided.get(left.decision, "it was decided elsewhere, or uploaded anew")
    raise Outdated(f"item {item_id!r} waits no more: {why}{f' by {left.moderator}' if left.moderator else ''}")
