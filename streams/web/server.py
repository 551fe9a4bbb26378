"""Listening: an aiohttp application at an address."""

import logging
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.web_log import AccessLogger

from streams.errors import AnabranchError

GRACE = 2.0  # seconds for answers in hand, at the end
MAX_LINE = 32 * 1024  # bytes of an address: 500 characters of any language, escaped, and room to say what is too long


class CannotListen(AnabranchError):
    """The address is taken, or not ours; the message says which setting moves it."""


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    *,
    setting: str,
    tls: ssl.SSLContext | None = None,
    told: type[AbstractAccessLogger] | None = None,
) -> AsyncIterator[None]:
    """Answer at an address meanwhile. Raises CannotListen.

    setting  the environment variable that holds the port
    told     is told of every answer
    """
    runner = web.AppRunner(
        app,
        access_log=logging.getLogger(__name__) if told else None,  # aiohttp wants one; nothing is written to it
        access_log_class=told or AccessLogger,
        shutdown_timeout=GRACE,
        max_line_size=MAX_LINE,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            reason = (
                os.strerror(error.errno) if error.errno else str(error)
            )  # asyncio's own words name the address again
            raise CannotListen(f"{host}:{port} cannot be listened at: {reason}; {setting} moves it") from error
        yield
    finally:
        await runner.cleanup()
