"""Items embedded again are what a worker would make of their uploads now, and what was decided of them stands."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from streams.adapters.media import MediaReader
from streams.core.fusion import Average
from streams.core.vectors import Vector, from_bytes
from streams.embedding_anew import UPLOADS, ToEmbed, embed_anew, in_groups, lost_parts, with_uploads
from streams.events import Embedded, Upload
from streams.pipeline.embedding import AcceptedUpload, Fuse, embed
from streams.ports import Incoming
from tests.fakes import FakeEmbedder

FUSE = Average({"text": 1.0, "image": 1.0, "speech": 1.0})
PICTURE = "data:,a%20frog"


def upload(item_id: str, at: float = 1.0, offset: int = 1, **fields: Any) -> AcceptedUpload:
    message = Incoming(UPLOADS, 0, offset, item_id.encode(), None, at)
    return message, Upload(event_id=f"{item_id}-{offset}", ts=at, item_id=item_id, **fields)


async def embedded(*uploads: AcceptedUpload, space: str = "before") -> list[Embedded]:
    embedder = FakeEmbedder()
    embedder.space = space
    return (await embed(uploads, embedder=embedder, media=MediaReader(None), fuse=FUSE))[0]


async def again(*some: ToEmbed, moderated: bool = False, fuse: Fuse = FUSE) -> list[Embedded]:
    embedder = FakeEmbedder()
    embedder.space = "now"
    return await embed_anew(some, embedder=embedder, media=MediaReader(None), fuse=fuse, moderated=moderated)


async def test_an_item_is_made_again_as_a_worker_would_make_it_now() -> None:
    sent = upload("frog", title="a frog", attributes=["green"], media={"image": PICTURE, "speech": "data:,quak"})
    [before], [now] = await embedded(sent), await embedded(sent, space="now")
    for moderated in (False, True):
        [made] = await again(ToEmbed(before, sent), moderated=moderated)
        assert made == now != before and not lost_parts(before, made)
        assert made.spaces == {"text": "now", "image": "now", "speech": "now", "fused": FUSE.space}


class Counting:
    """Fuses, and knows how often."""

    def __init__(self) -> None:
        self.space, self.fused = FUSE.space, 0

    def __call__(self, vectors: Mapping[str, Vector]) -> Vector | None:
        self.fused += 1
        return FUSE(vectors)


async def test_an_item_is_fused_once_and_again_only_where_a_part_was_taken_from_it() -> None:
    whole, frog = (
        upload("toad", title="a toad", media={"image": PICTURE}),
        upload("frog", media={"speech": "data:,quak"}),
    )
    [toad], [gone] = await embedded(whole), await embedded(frog)
    fuse = Counting()
    await again(ToEmbed(toad, whole), fuse=fuse)
    assert fuse.fused == 1
    swapped = structs.replace(toad, digests={"image": sha256(b"another picture").hexdigest()})
    await again(ToEmbed(swapped, whole), ToEmbed(gone), moderated=True, fuse=fuse)
    assert fuse.fused == 1 + 3, "the one whose picture is another, twice; the other, of which nothing is left, once"


async def test_what_is_withdrawn_held_or_refused_stays_so_and_is_not_embedded() -> None:
    [listed] = await embedded(upload("odd", title="odd"))
    held = structs.replace(listed, withdrawn=True, refused={"moderation": "hold: text 0.70"})
    [made] = await again(ToEmbed(held, upload("odd", title="odd")))
    assert made == structs.replace(held, vectors={}, spaces={}) and not lost_parts(held, made)


async def test_a_file_that_nobody_has_looked_at_is_not_shown_where_uploads_are_moderated() -> None:
    sent = upload("frog", title="a frog", media={"image": PICTURE})
    [before] = await embedded(sent)
    swapped = structs.replace(before, digests={"image": sha256(b"another picture").hexdigest()})
    [made] = await again(ToEmbed(swapped, sent), moderated=True)
    assert set(made.vectors) == set(made.spaces) == {"text", "fused"} and not made.digests
    np.testing.assert_allclose(*(from_bytes(made.vectors[name]) for name in ("fused", "text")), atol=1e-6)
    assert lost_parts(swapped, made) == ["image"]
    assert made.refused == {"image": "Changed: the file is not the one that was looked at"}
    [made] = await again(ToEmbed(swapped, sent))
    assert made.digests == before.digests and not made.refused


async def test_an_item_whose_upload_is_kept_no_longer_is_made_of_what_its_log_has() -> None:
    [before] = await embedded(upload("frog", title="a frog", text="green", media={"speech": "data:,quak"}))
    [made] = await again(ToEmbed(before))
    assert (made.title, made.text, made.order) == ("a frog", "green\nquak", before.order)
    assert set(made.vectors) == {"text", "fused"} and lost_parts(before, made) == ["speech"]
    assert made.refused == {"speech": "Gone: the file was within an upload that is kept no longer"}


@pytest.mark.parametrize(("at", "offset", "found"), [(2.0, 7, True), (1.0, 7, False), (2.0, 6, False), (3.0, 9, False)])
async def test_only_the_upload_that_an_item_is_made_of_counts(at: float, offset: int, found: bool) -> None:
    [item] = await embedded(upload("frog", 2.0, 7, title="a frog"))
    sent = upload("frog", at, offset, title="another")
    stranger = upload("toad", title="not announced yet")
    assert with_uploads({"frog": item}, [stranger, sent]) == [ToEmbed(item, sent if found else None)]


async def test_items_are_embedded_in_groups_and_none_is_left_out() -> None:
    sent = [upload(f"frog {n}", offset=n, title="a frog", media={"video": "data:,film"}) for n in range(1, 40)]
    items = with_uploads({each.item_id: each for each in await embedded(*sent)}, sent)
    groups = list(in_groups(items))
    assert len(groups) == 3 and [each for group in groups for each in group] == items
