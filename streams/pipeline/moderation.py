"""Uploads are looked at before they are listed."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from streams import metrics
from streams.core.moderation import Limits, is_sealed, verdict
from streams.events import QUEUE, Embedded, Held, Upload, encode
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
    ) -> tuple[Embedded, Outgoing]:
        """The item, withdrawn where it is held or refused; and what the moderators' queue is to hear of it.

        media  the files that it was embedded from, by modality
        """
        queued = item.item_id.encode()
        if upload.withdrawn:
            if upload.note:
                item = replace(item, refused=item.refused | {"moderation": f"refuse: {upload.note}"})
            return item, Outgoing(QUEUE, queued, None)
        scores: Mapping[str, float] = {}
        if not is_sealed(self.key, upload.content(item.digests), upload.allowed):
            words = "\n".join(filter(None, (item.title, item.text, " ".join(item.attributes))))
            scores = await self.moderator.judge(words, item.language, media)
        outcome = verdict(scores, self.limits)
        metrics.MODERATED.labels(outcome).inc()
        if outcome != "allow":
            reason = ", ".join(f"{part} {score:.2f}" for part, score in scores.items())
            item = replace(item, withdrawn=True, refused=item.refused | {"moderation": f"{outcome}: {reason}"})
        value = None  # nothing, or no longer, to look at
        if outcome == "hold":
            value = encode(Held(upload=upload, scores=dict(scores), held_at=now, digests=item.digests))
        return item, Outgoing(QUEUE, queued, value)
