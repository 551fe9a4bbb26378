"""Fetches the bytes behind a URI, and refuses what it should not touch.

An upload is written by a stranger, so its URIs are not trusted: a size limit while reading, a time limit for the whole,
files only below one folder, and no address that is not public. Addresses are checked where sockets are made, whatever
name or number led there: a name cannot change its mind in between, and no other reading of a URI leads past the check.
"""

import asyncio
import os
import socket
import stat
from base64 import b64decode
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import aiohttp
import fsspec
from yarl import URL

from streams.adapters.addresses import is_public
from streams.errors import PartRefused

MAX_REDIRECTS = 3
CHUNK = 64 * 1024

Content = TypeVar("Content", bytes, bytearray)


class MediaReader:
    """The media of the pipeline (`ports.Media`).

    data:       the content itself, base64 or percent-encoded
    file:       below `root` only; None refuses them all
    http(s):    public addresses, and the `private_hosts` named
    others      those that fsspec knows (`s3:` with the package s3fs), where the URI starts with one of `stores`

    seconds     for one fetch, connecting and redirects included
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        private_hosts: Collection[str] = (),
        stores: Collection[str] = (),
        seconds: float = 10.0,
    ) -> None:
        self._root = root.resolve() if root else None
        self._private_hosts = frozenset(private_hosts)
        self._stores = tuple(store if store.endswith("/") else f"{store}/" for store in stores)
        self._seconds = seconds

    async def fetch(self, uri: str, limit: int) -> bytes:
        scheme = uri.partition(":")[0].lower()
        try:
            async with asyncio.timeout(self._seconds):
                if scheme == "data":
                    return _inline(uri, limit)
                if scheme == "file":
                    return await asyncio.to_thread(self._file, uri, limit)
                if scheme in ("http", "https"):
                    return await self._http(uri, limit)
                if self._is_stored(uri):
                    return await asyncio.to_thread(_stored, uri, limit)
        except TimeoutError as error:
            raise PartRefused(f"TooSlow: {uri[:200]!r} took more than {self._seconds:g} s") from error
        raise PartRefused(f"SchemeRefused: {uri[:80]!r} is neither data:, file:, http(s): nor in an allowed store")

    def _is_stored(self, uri: str) -> bool:
        # fsspec reads what follows `::` as another place.
        return uri.startswith(self._stores) and "::" not in uri and ".." not in uri.split("/")

    def _file(self, uri: str, limit: int) -> bytes:
        if self._root is None:
            raise PartRefused("FileRefused: file: URIs are off; set ANABRANCH_WORKER__MEDIA_ROOT to allow a folder")
        try:
            path = Path(unquote_to_bytes(urlsplit(uri).path).decode()).resolve()
            self._check_inside(path)
            # A pipe in the place of a file is not waited for.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                opened = os.fstat(file.fileno())
                if not stat.S_ISREG(opened.st_mode):
                    raise PartRefused(f"FileUnreadable: {path} is not a file")
                again = path.resolve()  # had it been replaced by a link, it was another file that was opened
                self._check_inside(again)
                if not os.path.samestat(opened, again.stat()):
                    raise PartRefused(f"FileRefused: {path} was replaced while it was opened")
                return _at_most(limit, file.read(limit + 1), str(path))
        except (OSError, ValueError) as error:
            raise PartRefused(f"FileUnreadable: {uri[:200]!r}: {error}") from error

    def _check_inside(self, path: Path) -> None:
        if self._root is None or not path.is_relative_to(self._root):
            raise PartRefused(f"FileRefused: {path} lies outside {self._root}")

    async def _http(self, uri: str, limit: int) -> bytes:
        sockets = _Sockets()
        try:
            connector = aiohttp.TCPConnector(socket_factory=sockets)
            # What is compressed on its way could expand without end, and pictures are compressed already.
            headers = {"Accept-Encoding": "identity"}
            async with aiohttp.ClientSession(connector=connector, auto_decompress=False, headers=headers) as session:
                for _ in range(MAX_REDIRECTS + 1):
                    url = _http_url(uri)
                    sockets.may_be_private = url.host in self._private_hosts
                    async with session.get(url, allow_redirects=False) as response:
                        if response.status in (301, 302, 303, 307, 308):
                            uri = urljoin(uri, response.headers.get("Location", ""))
                            continue
                        if response.status != 200:
                            raise PartRefused(f"HttpRefused: {uri[:200]!r} answered {response.status}")
                        return await _body(response, limit, uri)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if sockets.refused:
                raise PartRefused(f"HttpRefused: {uri[:200]!r} leads to {sockets.refused}, not public") from error
            raise PartRefused(f"HttpUnreachable: {uri[:200]!r}: {error}") from error
        raise PartRefused(f"HttpRefused: {uri[:200]!r} redirects more than {MAX_REDIRECTS} times")


class _Sockets:
    """Makes sockets for public addresses alone, but for a host that the settings name.

    refused  the last address that it made none for
    """

    def __init__(self) -> None:
        self.may_be_private = False
        self.refused: str | None = None

    def __call__(self, found: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (address, *_) = found
        if not self.may_be_private and not is_public(address):
            self.refused = address
            raise OSError(f"{address} is not a public address")
        return socket.socket(family, kind, protocol)


def _http_url(uri: str) -> URL:
    """As the client reads it; redirects may also change the scheme."""
    url = URL(uri)
    if url.scheme not in ("http", "https") or not url.host:
        raise PartRefused(f"HttpRefused: {uri[:200]!r} is no http(s) address")
    if url.user or url.password:
        raise PartRefused(f"HttpRefused: a password is no part of an address: {url.host}")
    return url


async def _body(response: aiohttp.ClientResponse, limit: int, uri: str) -> bytes:
    if (response.content_length or 0) > limit:
        raise PartRefused(f"TooLarge: {uri[:200]!r} has {response.content_length} bytes, where {limit} are allowed")
    if (encoding := response.headers.get("Content-Encoding", "identity").lower()) != "identity":
        raise PartRefused(f"HttpRefused: {uri[:200]!r} answered with what is compressed ({encoding})")
    content = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        content += chunk
        _at_most(limit, content, uri)
    return bytes(content)


def _stored(uri: str, limit: int) -> bytes:
    try:
        opened: Any = fsspec.open(uri, "rb")
        with opened as file:
            content: bytes = file.read(limit + 1)
        return _at_most(limit, content, uri)
    except (OSError, ValueError, ImportError) as error:
        raise PartRefused(f"StoreUnreadable: {uri[:200]!r}: {error}") from error


def _inline(uri: str, limit: int) -> bytes:
    header, comma, body = uri.partition(",")
    if not comma:
        raise PartRefused("InlineUnreadable: a data: URI has a comma before its content")
    try:
        content = b64decode(body, validate=True) if header.endswith(";base64") else unquote_to_bytes(body)
    except ValueError as error:
        raise PartRefused(f"InlineUnreadable: {error}") from error
    return _at_most(limit, content, "a data: URI")


def _at_most(limit: int, content: Content, what: str) -> Content:
    if len(content) > limit:
        raise PartRefused(f"TooLarge: {what[:200]} has more than the {limit} bytes allowed")
    return content
