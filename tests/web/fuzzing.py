"""Requests of every kind that a stranger, a bug or a scanner could send, from a seed; and who sends them."""

import asyncio
import json
import random
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from streams.web.access import user_token
from streams.web.api import Endpoint
from tests.fuzzing import ITEM_IDS, ODD, SCRAPS, USERS, Fuzzer
from tests.pipeline.test_pipeline import FILMS

ADMIN, READER, WRITER, KEY = (letter * 32 for letter in "arwk")
TOKENS = [f"admin {ADMIN}", f"lists {READER}", f"events {WRITER}", f"user-key {KEY}"]
FOREVER = 4e9
HELD = "held"  # an upload that waits for a moderator
OTHERS = [
    "/", "/page.css", "/page.js", "/experiments.html", "/moderation.html", "/healthz", "/metrics", "/openapi.json",
    "/nowhere", "/../../etc/passwd", "/users", "/users//recommendations", "/items/%00", "/items/%ff%fe", "/items/%",
    "*", "//", "/%2e%2e/", "/users/" + "x" * 9_000, "/search?" + "q=x&" * 2_000, "http://elsewhere.example/",
    "/?\xc3\xa9", "/items/a%2fb?k=1#f",
]  # fmt: skip
METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "BREW", "X" * 300, "G\x00T"]
HEADERS: dict[str, list[str]] = {
    "Authorization": ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer \xff", "Bearer " + "z" * 32, "Bearer a.b.c"],
    "Accept": ["*/*", "text/html", "\xff", "a" * 5_000],
    "Accept-Encoding": ["gzip", "br", "identity;q=0", ""],
    "Content-Type": ["text/plain", "application/json; charset=utf-99", "application/json;;=", "", "multipart/x"],
    "Content-Encoding": ["gzip", "deflate", "br", "zstd", "nonsense"],
    "Cookie": ["a=b", "=", ";;;", "a=" + "b" * 4_000],
    "Expect": ["100-continue", "a miracle", "\xff"],
    "Host": ["localhost", "elsewhere.example", "[::1", "a b", ""],
    "If-Modified-Since": ["Sun, 06 Nov 1994 08:49:37 GMT", "yesterday"],
    "Last-Event-ID": ["0", "-1", "\xff", "1" * 400],
    "Origin": ["http://localhost", "null", "http://elsewhere.example", "://"],
    "Range": ["bytes=0-1", "bytes=9-1", "bytes=-", "lines=1"],
    "traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0-0-0", "\xff"],
    "Transfer-Encoding": ["chunked", "gzip, chunked", "nonsense"],
    "Upgrade": ["websocket", "h2c"],
    "X-\xe9": ["1"],
}  # fmt: skip
PATIENCE = 1.0  # seconds for what is no whole request to be answered
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Requests:
    """Draws requests to these endpoints, most of them about what they may be asked."""

    def __init__(self, seed: int, endpoints: Sequence[Endpoint]) -> None:
        self._chance = random.Random(seed)
        self._messages = Fuzzer(seed)
        self._endpoints = [each for each in endpoints if not each.path.endswith("/stream")]
        self._streams = [each for each in endpoints if each.path.endswith("/stream")]

    def draw(self) -> tuple[bytes, bool]:
        """A request, and whether it is well-formed HTTP."""
        chance = self._chance
        if chance.random() < 0.02:
            target = chance.choice(OTHERS)
            raw = self._made(chance.choice(METHODS[:3]), target.encode("latin-1"), {}, b"")
        else:
            endpoint = chance.choice(self._streams if chance.random() < 0.002 else self._endpoints)
            method = endpoint.method if chance.random() < 0.97 else chance.choice(METHODS)
            raw = self._made(method, self._target(endpoint).encode(), self._headers(endpoint), self._body(endpoint))
        if chance.random() < 0.95:
            return raw, True
        return (self._garbled(raw) if chance.random() < 0.9 else chance.randbytes(chance.randrange(1, 300))), False

    def _target(self, endpoint: Endpoint) -> str:
        chance = self._chance
        path = endpoint.path
        modality = chance.choice(("image", "audio", "video", "speech", "text", "smell"))
        items = (HELD,) if path.startswith("/moderation") and chance.random() < 0.8 else (*FILMS, *ITEM_IDS)
        names = {"user_id": chance.choice(USERS), "item_id": chance.choice(items), "modality": modality}
        for name, value in names.items():
            if chance.random() < 0.1:
                value = str(chance.choice(ODD))
            path = path.replace(f"{{{name}}}", quote(value.encode(errors="surrogatepass"), safe=""))
        asked: list[tuple[str, str]] = []
        good: dict[str, list[Any]] = {
            "k": [1, 20, 200], "past": [0, 5], "q": ["space", "romance paris", "\u202e"], "user_id": USERS[:3],
            "offset": [0, 3], "limit": [1, 100], "filter": ["genre=Crime", "language=en"],
            "personal": ["true", "false"], "safe": ["true", "false"], "explain": ["true", "false"],
            "order": ["longest", "newest"],
        }  # fmt: skip
        known = endpoint.query.__struct_fields__ if endpoint.query else ()
        for name in known:
            if chance.random() < 0.5:
                asked.append((name, str(chance.choice(good[name] if chance.random() < 0.7 else ODD))))
        if chance.random() < 0.05:
            asked.append((chance.choice(("k", "q", "", "x", "\u2028")), str(chance.choice(ODD))))
        return path + ("?" + urlencode(asked, errors="surrogatepass") if asked else "")

    def _headers(self, endpoint: Endpoint) -> dict[str, str]:
        chance = self._chance
        user = chance.choice(USERS)
        tokens = [f"Bearer {ADMIN}"] * 8 + [
            f"Bearer {READER}",
            f"Bearer {WRITER}",
            f"Bearer {user_token(KEY, user, FOREVER)}",
        ]
        headers = {"Host": "localhost", "Authorization": chance.choice(tokens)}
        if endpoint.method == "POST":
            headers["Content-Type"] = "application/json"
        for name in chance.sample(list(HEADERS), chance.choice((0, 0, 0, 1, 1, 2, 5))):
            headers[name] = chance.choice(HEADERS[name])
        return headers

    def _body(self, endpoint: Endpoint) -> bytes:
        if endpoint.method != "POST":
            return b"" if self._chance.random() < 0.98 else b"{}"
        if endpoint.path.startswith("/moderation"):
            return self._decision()
        topic = "events.query" if endpoint.path == "/search" else endpoint.path[1:].replace("/", ".")
        fields, value = self._messages.draw(topic)
        if endpoint.path != "/search" or self._chance.random() < 0.2:
            return value or b""
        fields.pop("event_id", None)
        fields.pop("ts", None)
        return json.dumps(fields).encode(errors="surrogatepass")

    def _decision(self) -> bytes:
        chance = self._chance
        made: dict[str, Any] = {"decision": chance.choice(("allow", "refuse")), "fingerprint": "0" * 64, "note": "so"}
        for name in chance.sample(list(made), chance.choice((0, 0, 1, 2))):
            made[name] = chance.choice(ODD)
        return json.dumps(made).encode(errors="surrogatepass")

    def _made(self, method: str, target: bytes, headers: dict[str, str], body: bytes) -> bytes:
        if headers.get("Transfer-Encoding") == "chunked" and self._chance.random() < 0.8:
            framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        else:
            framed = body
            if body or self._chance.random() < 0.1:
                headers = headers | {"Content-Length": str(len(body))}
        lines = [f"{name}: {value}".encode("latin-1") for name, value in ({"Host": "localhost"} | headers).items()]
        return b"\r\n".join([method.encode() + b" " + target + b" HTTP/1.1", *lines, b"", framed])

    def _garbled(self, raw: bytes) -> bytes:
        """With bytes changed, cut out or put in, among the first most often."""
        chance = self._chance
        garbled = bytearray(raw)
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(min(len(garbled), 400) or 1)
            match chance.randrange(3):
                case 0 if garbled:
                    garbled[at] = chance.randrange(256)
                case 1:
                    del garbled[at : at + chance.randrange(20)]
                case _:
                    garbled[at:at] = chance.choice((*SCRAPS, b"\r\n", b"\r\n\r\n", b": ", b"HTTP/1.1", b"\x16\x03\x01"))
        return bytes(garbled)


class Caller:
    """Sends requests to one port, over a connection that is kept while it can be."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, raw: bytes, *, well_formed: bool) -> list[int]:
        """The statuses of what is answered: one, unless what was sent is something else than one request."""
        if not well_formed or b"Transfer-Encoding" in raw or b"Upgrade" in raw or b"Expect" in raw:
            return await self._all(raw)
        for _ in range(2):
            reader, writer = self._open or await asyncio.open_connection("127.0.0.1", self._port)
            fresh, self._open = self._open is None, None
            writer.write(raw)
            try:
                status, kept = await self._answer(reader, raw.startswith(b"HEAD "))
            except (asyncio.IncompleteReadError, ConnectionError):  # the server let go of a connection that it had kept
                writer.close()
                if fresh:
                    raise
                continue
            if kept:
                self._open = reader, writer
            else:
                writer.close()
            return [status]
        raise AssertionError("unreachable: a fresh connection answers or raises")

    async def _answer(self, reader: asyncio.StreamReader, head: bool) -> tuple[int, bool]:
        """The status of one answer, and whether the connection is kept."""
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        status = int(lines[0].split()[1])
        headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        if headers.get(b"content-type") == b"text/event-stream":
            await reader.readuntil(b"\n\n")
            return status, False
        if not head and status not in (204, 304):
            if headers.get(b"transfer-encoding") == b"chunked":
                await reader.readuntil(b"0\r\n\r\n")
            else:
                await reader.readexactly(int(headers.get(b"content-length", 0)))
        return status, headers.get(b"connection") != b"close"

    async def _all(self, raw: bytes) -> list[int]:
        """The statuses of all that is answered before the server lets go: at the latest after a last, good request,
        or because that is not understood as one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        answered = b""
        try:
            writer.write(raw + LAST)
            async with asyncio.timeout(PATIENCE):
                while more := await reader.read(1 << 16):
                    answered += more
        except (TimeoutError, ConnectionError):
            pass
        writer.close()
        return [status for each in STATUS.findall(answered) if (status := int(each)) >= 200]

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
