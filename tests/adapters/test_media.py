"""What an upload's URIs may and may not reach. The web servers are real, on loopback."""

import asyncio
import gzip
import os
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import fsspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.media import MediaReader
from streams.errors import PartRefused

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Answers every path with a handler; gives the server's address."""
    runners = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def refusal(reader: MediaReader, uri: str, limit: int = 100) -> str:
    with pytest.raises(PartRefused) as refused:
        await reader.fetch(uri, limit)
    return str(refused.value).partition(":")[0]


async def test_inline_content_is_read_in_base64_and_percent_encoding() -> None:
    reader = MediaReader()
    assert await reader.fetch("data:image/png;base64," + b64encode(b"\x89PNG").decode(), 100) == b"\x89PNG"
    assert await reader.fetch("data:,hello%20there", 100) == b"hello there"


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:;base64,@@@", "data:;base64,é"])
async def test_inline_content_that_is_none_is_refused(uri: str) -> None:
    assert await refusal(MediaReader(), uri) == "InlineUnreadable"


async def test_content_over_the_limit_is_refused() -> None:
    assert await refusal(MediaReader(), "data:," + "x" * 101) == "TooLarge"


@pytest.mark.parametrize("uri", ["ftp://host/a", "gopher://host", "s3://bucket/key", "jar:file:///a", "nothing", ""])
async def test_other_schemes_are_refused(uri: str) -> None:
    assert await refusal(MediaReader(), uri) == "SchemeRefused"


async def test_a_file_below_the_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"png")
    assert await MediaReader(tmp_path).fetch(f"file://{tmp_path}/a%20b.png", 100) == b"png"


async def test_files_are_refused_unless_a_root_is_set(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    assert await refusal(MediaReader(), f"file://{tmp_path}/a.png") == "FileRefused"


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/link", "/../root-twin/secret"])
async def test_nothing_outside_the_root_can_be_named(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    for folder in (root, tmp_path / "root-twin"):
        folder.mkdir()
    for secret in (tmp_path / "secret", tmp_path / "root-twin" / "secret"):
        secret.write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    assert await refusal(MediaReader(root), f"file://{root}{path}") == "FileRefused"


@pytest.mark.parametrize("path", ["missing", "folder", "null%00byte"])
async def test_what_is_no_readable_file_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    assert await refusal(MediaReader(tmp_path), f"file://{tmp_path}/{path}") == "FileUnreadable"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "[::1]", "[fd00::1]", "[::ffff:127.0.0.1]"],
)
async def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    assert await refusal(MediaReader(), f"http://{host}:9/latest/meta-data") == "HttpRefused"


async def test_a_name_that_leads_to_a_private_address_is_refused_without_asking_it(serve: Serve) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(body=b"secret")

    port = (await serve(handler)).rpartition(":")[2]
    assert await refusal(MediaReader(), f"http://localhost:{port}/") == "HttpRefused"
    assert asked == []


async def test_a_page_of_an_allowed_host_is_read(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"picture")

    address = await serve(handler)
    assert await MediaReader(private_hosts=["127.0.0.1"]).fetch(f"{address}/a.png", 100) == b"picture"


async def test_a_redirect_to_a_private_address_is_refused(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data")

    address = await serve(handler)
    assert await refusal(MediaReader(private_hosts=["127.0.0.1"]), address) == "HttpRefused"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "/again", ""])
async def test_redirects_that_go_round_or_leave_the_web_are_refused(serve: Serve, target: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    address = await serve(handler)
    assert await refusal(MediaReader(private_hosts=["127.0.0.1"]), address) == "HttpRefused"


async def test_an_answer_other_than_200_is_refused(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=404)

    assert await refusal(MediaReader(private_hosts=["127.0.0.1"]), await serve(handler)) == "HttpRefused"


async def test_a_body_without_end_is_cut_off_at_the_limit(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionError:
            return response

    address = await serve(handler)
    assert await refusal(MediaReader(private_hosts=["127.0.0.1"]), address, limit=200_000) == "TooLarge"


async def test_a_server_that_does_not_answer_is_given_up(serve: Serve) -> None:
    never = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    address = await serve(handler)
    assert await refusal(MediaReader(private_hosts=["127.0.0.1"], seconds=0.05), address) == "TooSlow"
    never.set()


async def test_a_port_nobody_listens_on_is_said_to_be_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}/"
        assert await refusal(MediaReader(private_hosts=["127.0.0.1"]), uri) == "HttpUnreachable"


async def test_a_store_is_read_where_its_prefix_is_allowed_and_nowhere_else() -> None:
    fsspec.filesystem("memory").pipe("/media/a.png", b"stored")
    fsspec.filesystem("memory").pipe("/private/a.png", b"secret")
    reader = MediaReader(stores=["memory://media/"])
    assert await reader.fetch("memory://media/a.png", 100) == b"stored"
    assert await refusal(reader, "memory://private/a.png") == "SchemeRefused"
    assert await refusal(reader, "memory://media/../private/a.png") == "SchemeRefused"
    assert await refusal(reader, "memory://media/missing.png") == "StoreUnreadable"
    assert await refusal(reader, "memory://media/a.png", limit=3) == "TooLarge"


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",  # 127.0.0.1 as one number
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "①②⑦.⓪.⓪.①",  # digits that become plain ones where a name is prepared
        "127。0。0。1",
        "localhost",
        "LOCALHOST",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "example.com@127.0.0.1",
        "127.0.0.1\\@example.com",
        "127.0.0.1#@example.com",
        "127.0.0.1?@example.com",
    ],
)
async def test_no_way_of_writing_it_leads_to_this_machine(host: str, serve: Serve) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(body=b"secret")

    port = (await serve(handler)).rpartition(":")[2]
    for uri in (f"http://{host}:{port}/", f"http://{host.replace('@', f':{port}@')}/"):
        with pytest.raises(PartRefused):
            await MediaReader(private_hosts=["example.com"]).fetch(uri, 100)
    assert asked == []


async def test_a_name_that_changes_its_mind_is_asked_once_and_judged_by_what_it_leads_to(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when asked first, this machine when asked again."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"secret")

    port = int((await serve(handler)).rpartition(":")[2])
    answers = [("192.0.0.192", port), ("127.0.0.1", port)]
    asked = []

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", answers.pop(0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert await refusal(MediaReader(), f"http://rebinding.example:{port}/") == "HttpRefused"
    assert asked == ["rebinding.example"]


async def test_an_allowed_host_allows_no_other_on_the_way(serve: Serve) -> None:
    async def secret(request: web.Request) -> web.Response:
        return web.Response(body=b"secret")

    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://localhost:{port}/")

    port = (await serve(secret)).rpartition(":")[2]
    assert await refusal(MediaReader(private_hosts=["127.0.0.1"]), await serve(handler)) == "HttpRefused"


async def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(PartRefused, match="no part of an address") as refused:
        await MediaReader().fetch("http://ada:sesame@example.com/a.png", 100)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("path", ["a%0d%0aX-Evil:%201", "a\r\nX-Evil: 1"])
async def test_a_line_break_in_an_address_adds_no_header(path: str) -> None:
    heard = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npicture")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await MediaReader(private_hosts=["127.0.0.1"]).fetch(f"{address}/{path}", 100) == b"picture"
    assert b"X-Evil" in heard[0] and b"\nX-Evil" not in heard[0]


async def test_what_is_compressed_is_not_asked_for_and_not_unpacked(serve: Serve) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.headers["Accept-Encoding"])
        return web.Response(body=gzip.compress(b"\0" * 10_000_000), headers={"Content-Encoding": "gzip"})

    address = await serve(handler)
    with pytest.raises(PartRefused, match=r"HttpRefused: .* compressed \(gzip\)"):
        await MediaReader(private_hosts=["127.0.0.1"]).fetch(address, 20_000_000)
    assert asked == ["identity"]


async def test_a_body_that_trickles_is_given_up(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.01)
        return response

    address = await serve(handler)
    assert await refusal(MediaReader(private_hosts=["127.0.0.1"], seconds=0.1), address, limit=10_000) == "TooSlow"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 4096,
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: data:,hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
async def test_a_server_that_speaks_nonsense_is_refused(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        said = await refusal(MediaReader(private_hosts=["127.0.0.1"], seconds=5), address, limit=1_000)
    assert said in ("HttpUnreachable", "HttpRefused", "TooLarge")


SCHEMES = ["", "http://", "https://", "http://[", "file://", "data:", "data:;base64,", "memory://media/"]


@given(st.text(max_size=60), st.sampled_from(SCHEMES))
async def test_any_text_is_read_or_refused(text: str, scheme: str) -> None:
    def no_name(host: str, *_: object, **__: object) -> None:
        raise socket.gaierror(f"{host} is unknown")

    reader = MediaReader(Path("/nonexistent"), stores=["memory://media/"])
    with pytest.MonkeyPatch.context() as patch, suppress(PartRefused):
        patch.setattr(socket, "getaddrinfo", no_name)
        assert len(await reader.fetch(scheme + text, 100)) <= 100


async def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert await refusal(MediaReader(tmp_path, seconds=60), f"file://{tmp_path}/pipe") == "FileUnreadable"


async def test_a_file_swapped_for_a_link_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "a.png").write_bytes(b"picture")
    really_open = os.open

    def swap_and_open(path: Path, *flags: int) -> int:
        monkeypatch.setattr(os, "open", really_open)
        (root / "a.png").unlink()
        (root / "a.png").symlink_to(tmp_path / "secret")
        opened = really_open(path, *flags)
        (root / "a.png").unlink()
        (root / "a.png").write_bytes(b"picture")
        return opened

    monkeypatch.setattr(os, "open", swap_and_open)
    assert await refusal(MediaReader(root), f"file://{root}/a.png") == "FileRefused"


async def test_a_store_is_a_folder_and_leads_to_no_other_place() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/media-of-others/a.png", b"secret")
    reader = MediaReader(stores=["memory://media"])
    assert await refusal(reader, "memory://media-of-others/a.png") == "SchemeRefused"
    assert await refusal(reader, "memory://media/a.png::file:///etc/passwd") == "SchemeRefused"
    assert await refusal(reader, "simplecache::memory://media/a.png") == "SchemeRefused"
