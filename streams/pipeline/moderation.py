"""Uploads are looked at before they are listed."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from streams import metrics
from streams.core.moderation import Limits, is_sealed, verdict
from streams.events import DECISIONS, QUEUE, Decided, Embedded, Held, Upload, encode
from streams.ports import Moderator, Outgoing


class Moderation(Struct, frozen=True):
    """How uploads are looked at.

    limits  part -> scores from which it is held, and refused
    key     with which moderators seal what they allow
    """

    moderator: Moderator
    limits: Mapping[str, Limits]
    key: bytes

    async def judge(
        self, upload: Upload, item: Embedded, media: Mapping[str, bytes], *, now: float
    ) -> tuple[Embedded, list[Outgoing]]:
        """The item, withdrawn where it is held or refused; and what moderators are to hear of it.

        media  the files that it was embedded from, by modality
        """
        queued = item.item_id.encode()
        gone = Outgoing(QUEUE, queued, None)  # nothing, or no longer, to look at
        if upload.withdrawn:
            if upload.note:
                item = replace(item, refused=item.refused | {"moderation": f"refuse: {upload.note}"})
            # A producer withdraws its own, too: that is nobody's decision.
            return item, [gone, _decided(upload, "refuse", now)] if upload.decided_at or upload.note else [gone]
        if is_sealed(self.key, upload.content(item.digests), upload.allowed):
            metrics.MODERATED.labels("allow").inc()
            return item, [gone, _decided(upload, "allow", now)]
        words = "\n".join(filter(None, (item.title, item.text, " ".join(item.attributes))))
        scores = await self.moderator.judge(words, item.language, media)
        outcome = verdict(scores, self.limits)
        metrics.MODERATED.labels(outcome).inc()
        if outcome == "allow":
            return item, [gone]
        reason = ", ".join(f"{part} {score:.2f}" for part, score in scores.items())
        item = replace(item, withdrawn=True, refused=item.refused | {"moderation": f"{outcome}: {reason}"})
        if outcome == "refuse":
            return item, [gone]
        held = Held(upload=upload, scores=dict(scores), held_at=now, digests=item.digests)
        return item, [Outgoing(QUEUE, queued, encode(held))]


def _decided(upload: Upload, decision: Literal["allow", "refuse"], now: float) -> Outgoing:
    told = Decided(
        event_id=upload.event_id,
        item_id=upload.item_id,
        decision=decision,
        decided_at=upload.decided_at or now,
        moderator=upload.moderator,
        note=upload.note,
    )
    return Outgoing(DECISIONS, upload.item_id.encode(), encode(told))
