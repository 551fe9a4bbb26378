"""Fetches the bytes behind a URI, and refuses what it should not touch."""

import asyncio
import binascii
from base64 import b64decode
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from streams.errors import PartRefused


class MediaReader:
    """The media of the pipeline (`ports.Media`): `data:` URIs, and `file:` URIs below one folder.

    root  the folder that `file:` URIs may name files of; None refuses them all
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root.resolve() if root else None

    async def fetch(self, uri: str, limit: int) -> bytes:
        scheme = urlsplit(uri[:64]).scheme.lower()
        if scheme == "data":
            return _inline(uri, limit)
        if scheme == "file":
            return await asyncio.to_thread(self._file, uri, limit)
        raise PartRefused(
            f"SchemeRefused: {scheme or 'no scheme'!r} in {uri[:80]!r}, where data: and file: are allowed"
        )

    def _file(self, uri: str, limit: int) -> bytes:
        if self._root is None:
            raise PartRefused("FileRefused: file: URIs are off; set ANABRANCH_WORKER__MEDIA_ROOT to allow a folder")
        try:
            path = Path(unquote_to_bytes(urlsplit(uri).path).decode()).resolve()
            if not path.is_relative_to(self._root):
                raise PartRefused(f"FileRefused: {path} lies outside {self._root}")
            with path.open("rb") as file:
                content = file.read(limit + 1)
        except (OSError, ValueError) as error:
            raise PartRefused(f"FileUnreadable: {uri[:200]!r}: {error}") from error
        if len(content) > limit:
            raise PartRefused(f"TooLarge: {path} has more than {limit} bytes")
        return content


def _inline(uri: str, limit: int) -> bytes:
    header, comma, body = uri.partition(",")
    if not comma:
        raise PartRefused("InlineUnreadable: a data: URI has a comma before its content")
    try:
        content = b64decode(body, validate=True) if header.endswith(";base64") else unquote_to_bytes(body)
    except binascii.Error as error:
        raise PartRefused(f"InlineUnreadable: {error}") from error
    if len(content) > limit:
        raise PartRefused(f"TooLarge: {len(content)} bytes, where {limit} are allowed")
    return content
