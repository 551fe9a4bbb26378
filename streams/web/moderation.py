"""The moderators' desk: the uploads that wait, as the topic tells, and decisions, each on what was looked at alone."""

import asyncio
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from streams import metrics
from streams.core.moderation import Limits, reached
from streams.errors import AnabranchError
from streams.events import FILES, Held, encode, read
from streams.held import Waiting, allowing, fingerprint, refusing
from streams.ports import Outgoing, Sink
from streams.web.answers import Accepted, Decision, HeldUpload, HeldUploads, Order
from streams.web.catalogue import File

UPLOADS = "events.upload"
REMEMBERED = 10_000  # uploads that have left, so that who decides too late is told so


class NotHeld(AnabranchError):
    """Nothing of this name waits, or did lately."""


class Outdated(AnabranchError):
    """What was looked at has changed, or somebody has decided."""


class _Left(Struct, frozen=True):
    """What became of an upload: decided here, and perhaps not taken up by a worker yet; or gone, nobody here knows why.

    fingerprint  of what waited
    decision     empty where it was not made here
    event_id     of what was sent
    """

    fingerprint: str
    decision: str = ""
    event_id: str = ""


class Desk:
    """What moderators see and decide.

    key     with which they seal what they allow
    limits  part -> scores from which uploads are held
    clock   the wall clock, seconds since the epoch
    """

    def __init__(
        self, key: bytes, limits: Mapping[str, Limits], sink: Sink, clock: Callable[[], float] = time.time
    ) -> None:
        self._key = key
        self._limits = limits
        self._sink = sink
        self._clock = clock
        self._waiting = Waiting()
        self._left: dict[str, _Left] = {}
        self._one_at_a_time = asyncio.Lock()

    def outdate(self, key: bytes | None) -> None:
        """A message of `moderation.queue` with this key has come: what was written under it before waits no more."""
        held = self._waiting.outdate(key)
        if held is not None and held.upload.item_id not in self._left:
            self._leave(held, "", "")
        metrics.HELD.set(len(self._waiting.uploads))

    def take(self, value: bytes) -> None:
        """The value of that message: what waits from now on. Raises Rejected."""
        held = self._waiting.take(value)
        self._left.pop(held.upload.item_id, None)
        metrics.HELD.set(len(self._waiting.uploads))

    def page(self, order: Order, offset: int, limit: int) -> HeldUploads:
        """Some of what nobody has decided on yet."""
        open_ones = [held for item_id, held in self._waiting.uploads.items() if item_id not in self._left]
        open_ones.sort(key=lambda held: held.held_at, reverse=order == "newest")
        return HeldUploads([self._shown(held) for held in open_ones[offset : offset + limit]], len(open_ones))

    def file(self, item_id: str, modality: str) -> File | None:
        """Where a file of an upload that waits is; None where there is none that was looked at."""
        held = self._waiting.uploads.get(item_id)
        if held is None or modality not in _files(held):
            return None
        return File(held.upload.media[modality], held.digests[modality])

    async def decide(self, item_id: str, made: Decision) -> Accepted:
        """Send what was decided, once Kafka has it the upload waits no more; said twice, it is sent once.

        Raises NotHeld, Outdated, Rejected where the upload has no room for a note, SinkUnavailable.
        """
        async with self._one_at_a_time:
            held, left = self._waiting.uploads.get(item_id), self._left.get(item_id)
            if left is not None:
                return _repeated(item_id, made, left)
            if held is None:
                raise NotHeld(f"item {item_id!r} is not held")
            if fingerprint(held) != made.fingerprint:
                raise Outdated(f"item {item_id!r} was uploaded anew, or a file of it has changed: look again")
            allowed = made.decision == "allow"
            upload = allowing(held, self._key, made.note) if allowed else refusing(held, made.note)
            value = encode(upload)
            read(UPLOADS, value, now=self._clock())
            await self._sink.publish([Outgoing(UPLOADS, item_id.encode(), value)])
            metrics.DECIDED.labels(made.decision).inc()
            if self._waiting.uploads.get(item_id) in (held, None):  # or a worker was faster, and something else waits
                self._leave(held, made.decision, upload.event_id)
            return Accepted(upload.event_id, UPLOADS)

    def _leave(self, held: Held, decision: str, event_id: str) -> None:
        self._left[held.upload.item_id] = _Left(fingerprint(held), decision, event_id)
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
            fingerprint=fingerprint(held),
        )


def _files(held: Held) -> list[str]:
    """The modalities of its files that were looked at."""
    return [modality for modality in held.upload.media if modality in FILES and modality in held.digests]


def _repeated(item_id: str, made: Decision, left: _Left) -> Accepted:
    """The same answer to the same decision, as when an answer was lost and the question is asked again."""
    if (left.fingerprint, left.decision) == (made.fingerprint, made.decision):
        return Accepted(left.event_id, UPLOADS)
    decided = {"allow": "it was allowed", "refuse": "it was refused"}
    why = decided.get(left.decision, "it was decided elsewhere, or uploaded anew")
    raise Outdated(f"item {item_id!r} waits no more: {why}")
