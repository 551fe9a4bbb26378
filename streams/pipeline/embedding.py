"""Uploads become items: every part a vector, and all of them one."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Protocol

from encoders.contract import MODALITIES
from streams import metrics
from streams.core.vectors import Vector, to_bytes
from streams.errors import PartRefused
from streams.events import Embedded, Upload
from streams.pipeline.intake import Accepted
from streams.ports import Embedder, Incoming, Media

MAX_FETCHES = 8  # at once
MAX_UPLOADS_IN_MEMORY = 64  # with all their media, before they are vectors
MAX_MEDIA_IN_MEMORY = 1024**3  # bytes of these, should each be as large as is allowed

AcceptedUpload = tuple[Incoming, Upload]


class Fuse(Protocol):
    """Makes one vector of those of an item's parts; `space` is the name of the space it is in."""

    space: str

    def __call__(self, vectors: Mapping[str, Vector]) -> Vector | None:
        """None when there are none."""


def latest_of_each(accepted: Iterable[Accepted]) -> dict[str, AcceptedUpload]:
    """Item -> the latest of its uploads."""
    latest: dict[str, AcceptedUpload] = {}
    for message, event in accepted:
        if isinstance(event, Upload):
            known = latest.get(event.item_id)
            if known is None or event.ts >= known[1].ts:
                latest[event.item_id] = message, event
    return latest


def that_fit_in_memory(accepted: Iterable[AcceptedUpload]) -> Iterator[list[AcceptedUpload]]:
    """The uploads, in order, in groups whose media fit in memory however large a stranger has made them."""
    group: list[AcceptedUpload] = []
    room = MAX_MEDIA_IN_MEMORY
    for message, upload in accepted:
        size = sum(MODALITIES[modality].max_bytes for modality in upload.media)
        if group and (size > room or len(group) == MAX_UPLOADS_IN_MEMORY):
            yield group
            group, room = [], MAX_MEDIA_IN_MEMORY
        group.append((message, upload))
        room -= size
    if group:
        yield group


async def embed(
    accepted: Sequence[AcceptedUpload], *, embedder: Embedder, media: Media, fuse: Fuse
) -> tuple[list[Embedded], dict[str, dict[str, bytes]]]:
    """The items, one call to Triton for each modality; and the files that each was embedded from, by modality.

    A part that cannot be had or embedded is left out, and the item says why. Raises EmbedderUnavailable.
    """
    uploads = [upload for _, upload in accepted]
    vectors: dict[str, dict[str, Vector]] = {upload.item_id: {} for upload in uploads}
    refused: dict[str, dict[str, str]] = {upload.item_id: {} for upload in uploads}
    digests: dict[str, dict[str, str]] = {upload.item_id: {} for upload in uploads}
    files: dict[str, dict[str, bytes]] = {upload.item_id: {} for upload in uploads}
    languages: dict[str, str] = {}
    heard: dict[str, str] = {}
    spaces = {"fused": fuse.space}
    present = [upload for upload in uploads if not upload.withdrawn]
    contents: dict[str, list[tuple[str, bytes]]] = {}
    for upload in present:
        if words := "\n".join(filter(None, (upload.title, upload.text, " ".join(upload.attributes)))):
            contents.setdefault("text", []).append((upload.item_id, words.encode()))
    wanted = [(upload.item_id, modality, uri) for upload in present for modality, uri in upload.media.items()]
    fetches = asyncio.Semaphore(MAX_FETCHES)
    fetched = await asyncio.gather(*(_fetch(media, modality, uri, fetches) for _, modality, uri in wanted))
    for (item_id, modality, _), part in zip(wanted, fetched, strict=True):
        if isinstance(part, PartRefused):
            refused[item_id][modality] = str(part)
            count_refusal(modality, str(part))
        else:
            contents.setdefault(modality, []).append((item_id, part))
            digests[item_id][modality] = sha256(part).hexdigest()
    for modality, parts in contents.items():
        embedded = await embedder.embed(modality, [part for _, part in parts])
        spaces[modality] = embedded.space
        for (item_id, part), vector, error, language, words in zip(
            parts, embedded.vectors, embedded.errors, embedded.languages, embedded.words, strict=True
        ):
            if words:
                heard[item_id] = words
            if language:
                languages[item_id] = language
                metrics.LANGUAGES.labels(language).inc()
            if vector is None:
                refused[item_id][modality] = error
                digests[item_id].pop(modality, None)
                count_refusal(modality, error)
            else:
                vectors[item_id][modality] = vector
                if modality != "text":
                    files[item_id][modality] = part
    items = [
        _item(
            message,
            upload,
            fuse,
            vectors[upload.item_id],
            refused[upload.item_id],
            digests[upload.item_id],
            spaces,
            language=languages.get(upload.item_id, ""),
            heard=heard.get(upload.item_id, ""),
        )
        for message, upload in accepted
    ]
    return items, files


async def _fetch(media: Media, modality: str, uri: str, fetches: asyncio.Semaphore) -> bytes | PartRefused:
    async with fetches:
        try:
            return await media.fetch(uri, MODALITIES[modality].max_bytes)
        except PartRefused as refusal:
            return refusal


def _item(
    message: Incoming,
    upload: Upload,
    fuse: Fuse,
    vectors: dict[str, Vector],
    refused: dict[str, str],
    digests: dict[str, str],
    spaces: Mapping[str, str],
    *,
    language: str,
    heard: str,
) -> Embedded:
    fused = fuse(vectors)
    if fused is not None:
        vectors = vectors | {"fused": fused}
    return Embedded(
        item_id=upload.item_id,
        at=upload.ts,
        title=upload.title,
        text="\n".join(filter(None, (upload.text, heard))),
        attributes=upload.attributes,
        media={name: uri for name, uri in upload.media.items() if name in digests and not uri.startswith("data:")},
        digests=digests,
        vectors={name: to_bytes(vector) for name, vector in vectors.items()},
        spaces={name: spaces[name] for name in vectors if spaces[name]},
        refused=refused,
        language=language,
        withdrawn=upload.withdrawn,
        offset=message.offset,
    )


def count_refusal(modality: str, error: str) -> None:
    """A part that could not be embedded, counted by the first word of why."""
    metrics.PARTS_REFUSED.labels(modality, error.partition(":")[0]).inc()
