"""Embeds the items there are with the weights that Triton serves now, for `anabranch rebuild --embed`.

What was decided of an item stands: one that is withdrawn, held or refused stays so, and where uploads are moderated
nothing is shown that nobody has looked at.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, structs

from streams.core.vectors import from_bytes, to_bytes
from streams.events import Embedded, Upload
from streams.pipeline.embedding import AcceptedUpload, Fuse, embed, that_fit_in_memory
from streams.ports import Embedder, Incoming, Media

UPLOADS = "events.upload"


class ToEmbed(Struct, frozen=True):
    """An item that is to be embedded again.

    before  as the log of items has it
    upload  that it was made of; None where the topic of uploads has it no longer
    """

    before: Embedded
    upload: AcceptedUpload | None = None


def with_uploads(items: Mapping[str, Embedded], uploads: Iterable[AcceptedUpload]) -> list[ToEmbed]:
    """The items, each with its upload; one that its item is not yet, or no longer, made of does not count."""
    found: dict[str, AcceptedUpload] = {}
    for message, upload in uploads:
        item = items.get(upload.item_id)
        if item is not None and item.at == upload.ts and item.offset in (0, message.offset):  # 0: told by none once
            found[upload.item_id] = message, upload
    return [ToEmbed(item, found.get(item_id)) for item_id, item in items.items()]


def in_groups(items: Sequence[ToEmbed]) -> Iterator[list[ToEmbed]]:
    """The items, so many at a time as fit in memory with all their media."""
    uploads = {each.before.item_id: each for each in items}
    for group in that_fit_in_memory(_upload(each) for each in items):
        yield [uploads[upload.item_id] for _, upload in group]


async def embed_anew(
    some: Sequence[ToEmbed], *, embedder: Embedder, media: Media, fuse: Fuse, moderated: bool
) -> list[Embedded]:
    """The items as the new log is to have them; of those that are withdrawn nothing is embedded.

    moderated  whether uploads are looked at before they are listed

    Raises EmbedderUnavailable.
    """
    listed = {each.before.item_id: each for each in some if not each.before.withdrawn}
    made, _ = await embed([_upload(each) for each in listed.values()], embedder=embedder, media=media, fuse=fuse)
    anew = {item.item_id: _as_it_stands(item, listed[item.item_id], fuse, moderated) for item in made}
    return [anew.get(each.before.item_id) or structs.replace(each.before, vectors={}, spaces={}) for each in some]


def lost_parts(before: Embedded, after: Embedded) -> list[str]:
    """Parts that had a vector and have none any more."""
    return [] if before.withdrawn else sorted(before.vectors.keys() - after.vectors.keys())


def _upload(each: ToEmbed) -> AcceptedUpload:
    if each.upload is not None:
        return each.upload
    item = each.before
    upload = Upload(
        event_id="again",
        ts=item.at,
        item_id=item.item_id,
        title=item.title,
        text=item.text,
        media=item.media,
        attributes=item.attributes,
    )
    return Incoming(UPLOADS, 0, item.offset, item.item_id.encode(), None, item.at), upload


def _as_it_stands(item: Embedded, each: ToEmbed, fuse: Fuse, moderated: bool) -> Embedded:
    """The item without files that are others than those that were looked at, and told of what could not be had."""
    before, refused = each.before, dict(item.refused)
    if each.upload is None:  # its text is what was heard in its speech, too
        item = structs.replace(item, text=before.text)
        for part in before.digests.keys() - before.media.keys():
            refused[part] = "Gone: the file was within an upload that is kept no longer"
    if moderated:
        item = structs.replace(item, text=before.text)
        for part, digest in list(item.digests.items()):
            if before.digests.get(part) != digest:
                refused[part] = "Changed: the file is not the one that was looked at"
    vectors = item.vectors
    if vectors.keys() & refused.keys():
        kept = {name: from_bytes(data) for name, data in vectors.items() if name not in {*refused, "fused"}}
        fused = fuse(kept)
        with_fused = kept if fused is None else kept | {"fused": fused}
        vectors = {name: to_bytes(vector) for name, vector in with_fused.items()}
    return structs.replace(
        item,
        vectors=vectors,
        spaces={name: space for name, space in item.spaces.items() if name in vectors},
        media={name: uri for name, uri in item.media.items() if name not in refused},
        digests={name: digest for name, digest in item.digests.items() if name not in refused},
        refused=refused,
    )
