"""The networks and lists of `encoders.moderation`, on a thread beside the stream."""

import asyncio
from collections.abc import Collection, Sequence

from encoders.moderation import Pictures, Words


class ContentModerator:
    """See `ports.Moderator`; what it needs is read when it is made."""

    def __init__(self, allowed_words: Collection[str] = ()) -> None:
        self._words = Words(allowed_words)
        self._pictures = Pictures()

    async def judge(self, words: str, language: str, pictures: Sequence[bytes]) -> dict[str, float]:
        return await asyncio.to_thread(self._judge, words, language, pictures)

    def _judge(self, words: str, language: str, pictures: Sequence[bytes]) -> dict[str, float]:
        scores = {"text": self._words.score(words, language)} if words else {}
        return scores | ({"image": max(self._pictures.scores(pictures))} if pictures else {})
