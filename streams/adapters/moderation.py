"""The networks and lists of `encoders.moderation`, on a thread beside the stream."""

import asyncio
from collections.abc import Collection, Mapping

from encoders.moderation import Pictures, Words


class ContentModerator:
    """See `ports.Moderator`; what it needs is read when it is made."""

    def __init__(self, allowed_words: Collection[str] = ()) -> None:
        self._words = Words(allowed_words)
        self._pictures = Pictures()

    async def judge(self, words: str, language: str, media: Mapping[str, bytes]) -> dict[str, float]:
        return await asyncio.to_thread(self._judge, words, language, media)

    def _judge(self, words: str, language: str, media: Mapping[str, bytes]) -> dict[str, float]:
        scores = {"text": self._words.score(words, language)} if words else {}
        if "image" in media:
            [scores["image"]] = self._pictures.scores([media["image"]])
        if "video" in media:
            scores["video"] = self._pictures.film(media["video"])
        return scores
