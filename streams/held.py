"""Uploads that are held: which of them wait for a moderator, and what is sent once one has decided."""

from hashlib import sha256
from uuid import uuid4

from msgspec.structs import replace

from streams.core.moderation import seal
from streams.events import Held, Upload, reading

_read = reading(Held)


class Waiting:
    """What waits, as the messages of `moderation.queue` tell: hand each to `outdate`, and those with a value to `take`.

    uploads  item -> its upload that waits
    """

    def __init__(self) -> None:
        self.uploads: dict[str, Held] = {}

    def outdate(self, key: bytes | None) -> Held | None:
        """Drop what was written under this key before, and return it."""
        return self.uploads.pop((key or b"").decode(errors="replace"), None)

    def take(self, value: bytes) -> Held:
        """Add an upload. Raises Rejected where the message cannot be read."""
        held = _read(value)
        self.uploads[held.upload.item_id] = held
        return held


def fingerprint(held: Held) -> str:
    """SHA-256 of what a moderator looks at, files included, hexadecimal: it differs once anything of that does."""
    return sha256(held.upload.content(held.digests)).hexdigest()


def allowing(held: Held, key: bytes, note: str = "") -> Upload:
    """The upload again, sealed: its item is listed from now on, unless it has been uploaded anew since.

    The seal is of the files that were looked at: had one been replaced meanwhile, the item would be looked at anew.

    key  with which moderators seal what they allow
    """
    sealed = seal(key, held.upload.content(held.digests))
    return replace(held.upload, event_id=f"allowed-{uuid4()}", allowed=sealed, note=note)


def refusing(held: Held, note: str = "") -> Upload:
    """An upload that withdraws the item for good; a new upload of it is looked at anew."""
    of = held.upload
    return Upload(event_id=f"refused-{uuid4()}", ts=of.ts, item_id=of.item_id, withdrawn=True, note=note)
