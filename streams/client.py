"""For those who ask over HTTP: a client of `anabranch serve`, with the types that it answers by.

async with Client("http://127.0.0.1:8020") as client:
    await client.send(Click(event_id="e1", user_id="ada", item_id="42", ts=time.time()))
    print(await client.recommendations("ada", k=5))
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from msgspec import Struct
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from yarl import URL

from streams.errors import AnabranchError
from streams.events import EVENT_TYPES, Event, SearchResults, encode
from streams.web.answers import (
    Accepted,
    Decision,
    Explained,
    Flow,
    HeldUpload,
    HeldUploads,
    Item,
    Order,
    Problem,
    SearchRequest,
    SimilarItems,
    User,
    UserList,
)

KINDS = {kind: topic.removeprefix("events.") for topic, kind in EVENT_TYPES.items()}
PASSING = {429, 502, 503, 504}  # statuses of what another attempt may mend
SILENCE = 45.0  # seconds; a stream says at least every 15 that it lives
LONGEST_LINE = 8 * 1024 * 1024
JSON = {"Content-Type": "application/json"}

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
_wait = wait_random_exponential(multiplier=0.2, max=5.0)


class RequestRefused(AnabranchError):
    """The server said no; the message says to what, and why.

    problem  what it said: `status`, `detail`, and for an event the `reason`, one of those in docs/events.md
    """

    def __init__(self, asked: str, problem: Problem) -> None:
        super().__init__(f"{asked}: {problem.status} {problem.title}: {problem.detail}")
        self.problem = problem


class ServerUnavailable(AnabranchError):
    """No answer, after as many attempts as were allowed; the message says to what, and what went wrong last."""

    def __init__(self, asked: str, why: object, retry_after: float = 0.0) -> None:
        super().__init__(f"{asked}: {why}")
        self.retry_after = retry_after


class Client:
    """Asks, tries again where that may help, and gives typed answers. Use it in `async with`.

    url       of the server, such as https://lists.example.com
    token     of the token file, or of one user (`streams.web.access.user_token`); None where the server asks for none
    seconds   for one attempt
    attempts  before ServerUnavailable; sending an event again is safe, as its `event_id` counts once
    tls       whom to trust, for https; None: the authorities of the system

    All methods raise RequestRefused and ServerUnavailable.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8020",
        *,
        token: str | None = None,
        seconds: float = 10.0,
        attempts: int = 4,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._seconds = seconds
        self._attempts = attempts
        self._tls: ssl.SSLContext | bool = tls or True
        self._session: ClientSession | None = None

    async def recommendations(self, user_id: str, k: int = 20) -> UserList:
        """The best `k` items for a user, now."""
        return await self._get(UserList, "users", user_id, "recommendations", k=k)

    async def user(self, user_id: str) -> User:
        """What is known of a user."""
        return await self._get(User, "users", user_id)

    async def explanation(self, user_id: str, item_id: str) -> Explained:
        """Why an item stands where it does in a user's list."""
        return await self._get(Explained, "users", user_id, "explanations", item_id)

    async def item(self, item_id: str) -> Item:
        """An item of the catalogue."""
        return await self._get(Item, "items", item_id)

    async def similar(self, item_id: str, k: int = 20) -> SimilarItems:
        """The `k` items most like one."""
        return await self._get(SimilarItems, "items", item_id, "similar", k=k)

    async def media(self, item_id: str, modality: str) -> bytes:
        """A file of an item, as it was uploaded."""
        return await self._ask("GET", self._to("items", item_id, "media", modality), ClientResponse.read)

    async def search(self, wanted: SearchRequest | str) -> SearchResults:
        """The items that are looked for: by words alone, or by all that a SearchRequest may say."""
        request = SearchRequest(text=wanted) if isinstance(wanted, str) else wanted
        return await self._ask("POST", self._to("search"), _typed(SearchResults), body=encode(request))

    async def send(self, event: Event) -> Accepted:
        """Send an event; once this returns, Kafka has it."""
        url = self._to("events", KINDS[type(event)])
        return await self._ask("POST", url, _typed(Accepted), body=encode(event))

    async def flow(self) -> Flow:
        """What all workers have done so far."""
        return await self._get(Flow, "flow")

    async def held(self, order: Order = "longest", offset: int = 0, limit: int = 20) -> HeldUploads:
        """Uploads that wait for a moderator: who waits longest, or what came last, first."""
        return await self._get(HeldUploads, "moderation", order=order, offset=offset, limit=limit)

    async def held_media(self, item_id: str, modality: str) -> bytes:
        """A file of an upload that waits, as it was looked at."""
        return await self._ask("GET", self._to("moderation", item_id, "media", modality), ClientResponse.read)

    async def allow(self, looked_at: HeldUpload, note: str = "") -> Accepted:
        """List the item. RequestRefused, with 409, where it has changed since or somebody has decided otherwise."""
        return await self._decide(looked_at, Decision(decision="allow", fingerprint=looked_at.fingerprint, note=note))

    async def refuse(self, looked_at: HeldUpload, note: str = "") -> Accepted:
        """Withdraw the item for good. RequestRefused, as for `allow`."""
        return await self._decide(looked_at, Decision(decision="refuse", fingerprint=looked_at.fingerprint, note=note))

    async def _decide(self, looked_at: HeldUpload, made: Decision) -> Accepted:
        return await self._ask("POST", self._to("moderation", looked_at.item_id), _typed(Accepted), body=encode(made))

    async def follow(self, user_id: str, k: int = 20) -> AsyncIterator[UserList]:
        """The user's list, then each refreshed one as it is published; whoever reads slowly gets the newest.

        Where the connection breaks it is made again, and nothing is given twice.
        """
        url = self._to("users", user_id, "recommendations", "stream").with_query(k=k)
        version, failures = -1, 0
        while True:
            known = {"Last-Event-ID": str(version)} if version >= 0 else {}
            try:
                async for made in self._listen(url, known):
                    version, failures = made.list_version, 0
                    yield made
                why: object = "the stream has ended"
            except (ClientError, TimeoutError) as error:
                why = _said(error)
            except ServerUnavailable as error:
                why = error
            failures += 1
            if failures >= self._attempts:
                raise ServerUnavailable(f"GET {url}", why)
            await asyncio.sleep(0.2 * 2**failures)

    async def _listen(self, url: URL, headers: Mapping[str, str]) -> AsyncIterator[UserList]:
        timeout = ClientTimeout(total=None, sock_connect=self._seconds, sock_read=SILENCE)
        async with self._opened().get(url, headers=headers, timeout=timeout, ssl=self._tls) as answer:
            await _check(f"GET {url}", answer)
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield msgspec.json.decode(line.removeprefix(b"data: "), type=UserList)

    async def _get(self, kind: type[S], *path: str, **query: int | str) -> S:
        return await self._ask("GET", self._to(*path).with_query(query), _typed(kind))

    async def _ask(
        self, method: str, url: URL, read: Callable[[ClientResponse], Awaitable[T]], body: bytes | None = None
    ) -> T:
        """One request, tried again where that may help."""
        asked = f"{method} {url}"
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._attempts),
            wait=_pause,
            retry=retry_if_exception_type(ServerUnavailable),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                try:
                    async with self._opened().request(
                        method, url, data=body, headers=JSON if body is not None else {}, ssl=self._tls
                    ) as answer:
                        await _check(asked, answer)
                        return await read(answer)
                except (ClientError, TimeoutError) as error:
                    raise ServerUnavailable(asked, _said(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def _to(self, *path: str) -> URL:
        """The address of what has a path, whatever is in the names."""
        return URL("/".join((self._url, *(quote(each, safe="") for each in path))), encoded=True)

    def _opened(self) -> ClientSession:
        if self._session is None:
            raise AnabranchError("a Client is used in `async with`")
        return self._session

    async def __aenter__(self) -> "Client":
        timeout = ClientTimeout(total=self._seconds)
        self._session = ClientSession(headers=self._headers, timeout=timeout, read_bufsize=LONGEST_LINE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._opened(), None
        await session.close()


async def _check(asked: str, answer: ClientResponse) -> None:
    """Raises RequestRefused, or ServerUnavailable where another attempt may help."""
    if answer.status < 400:
        return
    body = await answer.read()
    if answer.status in PASSING:
        after = answer.headers.get("Retry-After", "")
        raise ServerUnavailable(asked, f"{answer.status} {answer.reason}", float(after) if after.isdigit() else 0.0)
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:  # of a proxy before the server
        problem = Problem(answer.status, answer.reason or "", body[:200].decode(errors="replace"))
    raise RequestRefused(asked, problem)


def _typed(kind: type[S]) -> Callable[[ClientResponse], Awaitable[S]]:
    async def read(answer: ClientResponse) -> S:
        return msgspec.json.decode(await answer.read(), type=kind)

    return read


def _pause(state: RetryCallState) -> float:
    """Seconds before the next attempt: growing at random, and at least what the server asked for."""
    error: Any = state.outcome.exception() if state.outcome else None
    return max(_wait(state), min(getattr(error, "retry_after", 0.0), 30.0))


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
