"""The aiohttp application: routes, who may pass, limits, and how errors are told."""

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version

import msgspec
import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Middleware
from yarl import URL

from streams import metrics, tracing
from streams.errors import KafkaUnavailable, Rejected, SinkUnavailable, StoreUnavailable
from streams.events import MAX_EVENT_BYTES
from streams.web import openapi, pages
from streams.web.access import ANYBODY, Identity, Tokens, Unauthorized
from streams.web.answers import Problem
from streams.web.api import IDENTITY, Api, Endpoint
from streams.web.health import Health

PATIENCE = 10.0  # seconds for one answer, reading what was sent included; streams may go on
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

STREAM = ("text/event-stream",)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ROUTE: web.RequestKey[str] = web.RequestKey("route", str)
log = structlog.get_logger()


def application(api: Api, health: Health, tokens: Tokens | None) -> web.Application:
    """All that is answered.

    tokens  who is known; None lets in anybody, as the name of this machine alone
    """
    endpoints = api.endpoints()
    with warnings.catch_warnings():  # aiohttp would rather have nobody choose a router
        warnings.simplefilter("ignore", DeprecationWarning)
        app = web.Application(
            router=Router(),
            client_max_size=MAX_EVENT_BYTES,
            middlewares=[_named, _traced(endpoints), _explained, _local_only(tokens)],
        )
    document = openapi.document(endpoints, version=version("anabranch"), secured=tokens is not None)
    body = msgspec.json.encode(document)

    async def described(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app.add_routes(web.route(each.method, each.path, _answering(each, tokens)) for each in endpoints)
    app.add_routes([*health.routes(), web.get("/openapi.json", described)])
    app.add_routes(pages.routes())
    return app


def _answering(endpoint: Endpoint, tokens: Tokens | None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        identity = tokens.identify(request.headers.get("Authorization")) if tokens else ANYBODY
        _check(identity, endpoint, request.match_info)
        request[IDENTITY] = identity
        if endpoint.answer == STREAM:
            return await _sent(endpoint, request)
        async with asyncio.timeout(PATIENCE):
            return await _sent(endpoint, request)

    return answer


async def _sent(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
    answer = await endpoint.handle(request)
    if isinstance(answer, web.StreamResponse):
        return answer
    return web.Response(body=msgspec.json.encode(answer), status=endpoint.status, content_type="application/json")


def _check(identity: Identity, endpoint: Endpoint, names: Mapping[str, str]) -> None:
    if endpoint.shared and identity.user is not None:
        return
    if not identity.may(endpoint.role, names.get("user_id")):
        raise web.HTTPForbidden(text=f"this token lacks the role {str(endpoint.role)!r}")


def _local_only(tokens: Tokens | None) -> Middleware:
    """Without tokens, no page from elsewhere may ask through somebody's browser, whatever it calls this machine."""

    @web.middleware
    async def local_only(request: web.Request, handler: Handler) -> web.StreamResponse:
        if tokens is None:
            origin = request.headers.get("Origin", "")
            for name in (f"http://{request.host}", *([origin] if origin else [])):
                if _host(name) not in LOOPBACK:
                    raise web.HTTPForbidden(text="without tokens, this server answers to localhost alone")
        return await handler(request)

    return local_only


def _host(url: str) -> str | None:
    try:
        return URL(url).host
    except ValueError:
        return None


class Router(web.UrlDispatcher):
    """Refuses what nobody can meet before a route is looked for: aiohttp makes a 500 of an `Expect` that is no text."""

    async def resolve(self, request: web.Request) -> web.UrlMappingMatchInfo:
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise web.HTTPExpectationFailed(text="nothing but 100-continue may be expected")
        return await super().resolve(request)


class Counted(AbstractAccessLogger):
    """Counts and times every answer; also those to what is no HTTP, which comes to no route and no middleware."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        metrics.HTTP.labels(request.get(ROUTE, "none"), str(response.status)).observe(time)


@web.middleware
async def _named(request: web.Request, handler: Handler) -> web.StreamResponse:
    resource = request.match_info.route.resource
    request[ROUTE] = resource.canonical if resource else "none"
    return await handler(request)


def _traced(endpoints: Iterable[Endpoint]) -> Middleware:
    """Streams are not: they last for as long as somebody listens."""
    routes = {each.path for each in endpoints if each.answer != STREAM}

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request[ROUTE]
        if route not in routes:
            return await handler(request)
        with tracing.request(request.method, route, request.headers.get(tracing.PARENT)) as answered:
            response = await handler(request)
            answered(response.status)
            return response

    return traced


@web.middleware
async def _explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is told as a `Problem`; of what nobody foresaw, only that it happened."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _problem(error.status, _detail(request, error), headers=allowed)
    except Unauthorized as error:
        return _problem(401, str(error), headers={"WWW-Authenticate": "Bearer"})
    except Rejected as refusal:
        return _problem(422, refusal.detail, reason=refusal.reason)
    except (StoreUnavailable, SinkUnavailable, KafkaUnavailable) as error:
        log.warning("a request failed", path=request[ROUTE], error=str(error))
        return _problem(503, f"{type(error).__name__}: try again in a moment", headers={"Retry-After": "2"})
    except TimeoutError:
        return _problem(503, f"no answer was found in {PATIENCE:g} s", headers={"Retry-After": "2"})
    except Exception as error:
        log.error("a request failed", path=request[ROUTE], exc_info=error)
        return _problem(500, "the log says what went wrong")


def _detail(request: web.Request, error: web.HTTPException) -> str:
    """What is wrong; of a path or a method that there is not, which there are."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.method} is not allowed here: {', '.join(sorted(error.allowed_methods))}"
    if request.match_info.http_exception is error:
        return f"there is no {request.path[:200]}; /openapi.json tells what there is"
    return error.text or error.reason


def _problem(status: int, detail: str, *, reason: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    problem = Problem(status, HTTPStatus(status).phrase, detail, reason)
    return web.Response(
        body=msgspec.json.encode(problem), status=status, content_type=openapi.PROBLEM, headers=dict(headers or {})
    )
