"""Fetches the bytes behind a URI, and refuses what it should not touch.

An upload is written by a stranger, so its URIs are not trusted: a size limit while reading, a time limit for the whole,
files only below one folder, and no address that is not public. The address is checked where the connection is made,
after the name is resolved and again for each redirect, so that a name cannot change its mind in between.
"""

import asyncio
import binascii
import ipaddress
import socket
from base64 import b64decode
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import aiohttp
import fsspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

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
        self._stores = tuple(stores)
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
        return bool(self._stores) and uri.startswith(self._stores) and ".." not in uri.split("/")

    def _file(self, uri: str, limit: int) -> bytes:
        if self._root is None:
            raise PartRefused("FileRefused: file: URIs are off; set ANABRANCH_WORKER__MEDIA_ROOT to allow a folder")
        try:
            path = Path(unquote_to_bytes(urlsplit(uri).path).decode()).resolve()
            if not path.is_relative_to(self._root):
                raise PartRefused(f"FileRefused: {path} lies outside {self._root}")
            if not path.is_file():
                raise PartRefused(f"FileUnreadable: {path} is not a file")
            with path.open("rb") as file:
                return _at_most(limit, file.read(limit + 1), str(path))
        except (OSError, ValueError) as error:
            raise PartRefused(f"FileUnreadable: {uri[:200]!r}: {error}") from error

    async def _http(self, uri: str, limit: int) -> bytes:
        connector = aiohttp.TCPConnector(resolver=_PublicResolver(self._private_hosts))
        try:
            async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
                for _ in range(MAX_REDIRECTS + 1):
                    self._check_host(uri)
                    async with session.get(uri, allow_redirects=False) as response:
                        if response.status in (301, 302, 303, 307, 308):
                            uri = urljoin(uri, response.headers.get("Location", ""))
                            continue
                        if response.status != 200:
                            raise PartRefused(f"HttpRefused: {uri[:200]!r} answered {response.status}")
                        return await _body(response, limit, uri)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PartRefused(f"HttpUnreachable: {uri[:200]!r}: {error}") from error
        raise PartRefused(f"HttpRefused: {uri[:200]!r} redirects more than {MAX_REDIRECTS} times")

    def _check_host(self, uri: str) -> None:
        """Addresses written as numbers never reach the resolver; redirects may also change the scheme."""
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PartRefused(f"HttpRefused: {uri[:200]!r} is no http(s) address")
        if parts.hostname in self._private_hosts:
            return
        try:
            address = ipaddress.ip_address(parts.hostname)
        except ValueError:
            return
        if not address.is_global:
            raise PartRefused(f"HttpRefused: {parts.hostname} is not a public address")


class _PublicResolver(AbstractResolver):
    """Resolves names to public addresses only."""

    def __init__(self, private_hosts: frozenset[str]) -> None:
        self._private_hosts = private_hosts
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if host not in self._private_hosts:
            for each in found:
                if not ipaddress.ip_address(each["host"]).is_global:
                    raise OSError(f"{host} leads to {each['host']}, which is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


async def _body(response: aiohttp.ClientResponse, limit: int, uri: str) -> bytes:
    if (response.content_length or 0) > limit:
        raise PartRefused(f"TooLarge: {uri[:200]!r} has {response.content_length} bytes, where {limit} are allowed")
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
    except binascii.Error as error:
        raise PartRefused(f"InlineUnreadable: {error}") from error
    return _at_most(limit, content, "a data: URI")


def _at_most(limit: int, content: Content, what: str) -> Content:
    if len(content) > limit:
        raise PartRefused(f"TooLarge: {what[:200]} has more than the {limit} bytes allowed")
    return content
