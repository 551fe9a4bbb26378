"""Whether a process lives and is ready, and its metrics: `/healthz`, `/readyz`, `/metrics`.

Restart a process that is not alive. One that is not ready goes on by itself once what it waits for is there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic

import msgspec
from aiohttp import web
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.errors import AnabranchError

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises AnabranchError, which says what is not."""

PATIENCE = 2.0  # seconds for the checks of one report
REMEMBERED = 1.0  # seconds for which a report answers everybody, however many ask


class Unwell(AnabranchError):
    """What a check found; the message is for an operator."""


class Report(Struct, frozen=True):
    """What a process needs, and what is wrong with it.

    wrong     name -> why
    well      names
    breakers  server -> closed; open, while it is not asked as it fails; or half_open, when the next call tries it
    """

    wrong: dict[str, str]
    well: list[str]
    breakers: dict[str, str] = {}


class Probe:
    """Answers one question about a process: 200, or 503 with what is wrong, as a JSON `Report`.

    checks    name -> check; more become known as the process comes up
    breakers  server -> what tells the state of its breaker
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self.checks = dict(checks)
        self.breakers: dict[str, Callable[[], str]] = {}
        self._asking = asyncio.Lock()
        self._known: Report | None = None
        self._asked_at = 0.0

    async def report(self) -> Report:
        """What the checks say, made side by side; a report that was just made is given again."""
        async with self._asking:
            if self._known is None or monotonic() - self._asked_at > REMEMBERED:
                self._known = await examine(self.checks)
                self._known.breakers.update({server: state() for server, state in self.breakers.items()})
                self._asked_at = monotonic()
            return self._known

    async def answer(self, _: web.Request) -> web.Response:
        report = await self.report()
        return web.Response(
            body=msgspec.json.encode(report),
            status=503 if report.wrong else 200,
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


class Health:
    """The two questions.

    alive  what only a new process mends
    ready  what it needs to do its work
    """

    def __init__(self) -> None:
        self.alive = Probe({})
        self.ready = Probe({})

    def routes(self) -> Iterable[web.RouteDef]:
        """What every process shows, for an aiohttp application."""
        return (
            web.get("/healthz", self.alive.answer),
            web.get("/readyz", self.ready.answer),
            web.get("/metrics", _metrics),
        )


async def examine(checks: Mapping[str, Check], patience: float = PATIENCE) -> Report:
    """Make all checks; one that gives no answer in `patience` seconds has found something wrong."""
    checks = dict(checks)  # more may become known meanwhile
    found = await asyncio.gather(*(_ailment(check, patience) for check in checks.values()))
    wrong = {name: ailment for name, ailment in zip(checks, found, strict=True) if ailment is not None}
    return Report(wrong, [name for name in checks if name not in wrong])


async def _ailment(check: Check, patience: float) -> str | None:
    try:
        await asyncio.wait_for(check(), patience)
    except AnabranchError as error:
        return str(error)
    except TimeoutError:
        return f"no answer in {patience:g} s"
    return None


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
