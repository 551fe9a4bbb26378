"""Embeds only into the spaces that the items of the log are in.

Once Triton serves other weights, or a worker fuses in another way, the vectors made now do not compare with those
there are. Then it is for items and queries as if Triton were away: uploads wait in Kafka, so that none is lost; lists
go on with the vectors there are; whoever searches has an answer by words. To embed uploads all the same, and keep them
apart, would gain little: until `anabranch rebuild --embed` has embedded all the others they compare with none, and
after it those that waited are embedded at once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from encoders.contract import PARTS
from streams import metrics
from streams.errors import EmbedderUnavailable, OtherSpace
from streams.ports import Embedder, Embeddings
from streams.spaces import Spaces

SECONDS = 10.0
"""From asking Triton for its spaces to asking again."""

NOTHING = [b""]
"""A content that every encoder refuses at once, and yet tells its space."""

log = structlog.get_logger()


class OneSpace:
    """An embedder (`ports.Embedder`) that raises OtherSpace for vectors that would not compare; profiles may be of any.

    spaces  of the log of items, as far as it has been followed
    fused   the space of what is fused here; empty where nothing is
    """

    def __init__(self, embedder: Embedder, spaces: Spaces, fused: str = "") -> None:
        self._embedder = embedder
        self._spaces = spaces
        self._here = {"fused": fused} if fused else {}
        self._told: dict[str, bool] = {}

    async def embed(self, modality: str, contents: Sequence[bytes]) -> Embeddings:
        if modality not in PARTS:
            return await self._embedder.embed(modality, contents)
        for part in self._spaces.others(self._here):
            await self._ask(part)
        await self.check()
        answer = await self._embedder.embed(modality, contents)
        self._note(modality, answer.space)
        await self.check()
        return answer

    async def check(self) -> None:
        """Raises OtherSpace while what would be made does not compare with the items, as far as is known."""
        others = self._spaces.others(self._here)
        if others:
            parts = [f"{part} {self._here[part]} (items: {self._spaces.known[part]})" for part in others]
            raise OtherSpace(
                f"vectors are made in another space than the items are in, of {', '.join(parts)}; uploads wait;"
                " next: anabranch rebuild --embed, or the weights of before"
            )

    async def watch(self) -> None:
        """Ask Triton for its spaces again and again, until cancelled: operators are to hear before anybody uploads."""
        while True:
            for part in (*PARTS, "fused"):
                with suppress(EmbedderUnavailable):  # another check tells
                    await self._ask(part)
            await asyncio.sleep(SECONDS)

    async def _ask(self, part: str) -> None:
        told = self._here.get(part, "") if part == "fused" else (await self._embedder.embed(part, NOTHING)).space
        self._note(part, told)

    def _note(self, part: str, space: str) -> None:
        if not space:
            return
        self._here[part] = space
        differs = bool(self._spaces.others({part: space}))
        metrics.OTHER_SPACE.labels(part).set(differs)
        if differs and not self._told.get(part):
            log.error(
                "vectors are made in another space than the items are in, and uploads wait",
                next="anabranch rebuild --embed",
                part=part,
                space=space,
                items=self._spaces.known[part],
            )
        self._told[part] = differs
