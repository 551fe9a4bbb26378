"""What an upload's URIs may and may not reach. The web servers are real, on loopback."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import fsspec
import pytest
from aiohttp import web

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


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:;base64,@@@"])
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
    assert await refusal(MediaReader(), f"http://localhost:{port}/") == "HttpUnreachable"
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
