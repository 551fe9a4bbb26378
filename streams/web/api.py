"""What can be asked over HTTP, and by whom: one table, from which the routes and the OpenAPI document are made."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

import msgspec
from aiohttp import web
from msgspec import Meta, Struct, structs

from encoders.contract import MODALITIES
from streams import metrics, tracing
from streams.core.explain import PAST, Unexplained
from streams.errors import PartRefused, Rejected
from streams.events import EVENT_TYPES, FILES, Id, Query, SearchResults, Upload, read
from streams.ports import Media, Outgoing, Sink
from streams.tracing import PARENT
from streams.web import files
from streams.web.access import Identity, Role
from streams.web.answers import (
    Accepted,
    Activity,
    Decision,
    Explained,
    Flow,
    HeldUploads,
    Item,
    Order,
    SearchRequest,
    SimilarItems,
    User,
    UserList,
)
from streams.web.catalogue import File, Shelf
from streams.web.experiments import Experiments
from streams.web.feed import Feed
from streams.web.flow import FlowReader
from streams.web.moderation import Desk, NotHeld, Outdated
from streams.web.reader import Reader

MAX_ITEMS = 200  # in a list
MAX_STREAMS = 1_000  # at once
HEARTBEAT = 15.0  # seconds after which a silent stream says that it lives

TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Searching = Callable[[Query], Awaitable[SearchResults]]
Handle = Callable[[web.Request], Awaitable[Struct | web.StreamResponse]]
T = TypeVar("T", bound=Struct)
IDENTITY: web.RequestKey[Identity] = web.RequestKey("identity", Identity)


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """What may follow the `?`."""

    k: Annotated[int, Meta(ge=1, le=MAX_ITEMS, description="items wanted")] = 20


class Resembling(Wanted, frozen=True, forbid_unknown_fields=True):
    """What may follow the `?` of what is most like an item."""

    user_id: Annotated[Id | None, Meta(description="to whom it is shown: rules may keep items from them")] = None


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """What may follow the `?` of an explanation."""

    past: Annotated[int, Meta(ge=0, le=100, description="latest items of the user, each taken away in turn")] = PAST


Filter = Annotated[str, Meta(pattern="^[^=]{1,100}=[^\n]{1,100}$", description="name=value")]
Truth = Literal["true", "false"]


class Looking(Struct, frozen=True, forbid_unknown_fields=True):
    """What may follow the `?` of a search."""

    q: Annotated[str, Meta(max_length=500, description="words")] = ""
    user_id: Annotated[Id | None, Meta(description="whose likings have a say in the order")] = None
    filter: Annotated[list[Filter], Meta(max_length=20, description="only such items; may be given again")] = []
    offset: Annotated[int, Meta(ge=0, le=900, description="items left out before the first")] = 0
    limit: Annotated[int, Meta(ge=1, le=100, description="items wanted")] = 10
    personal: Annotated[Truth, Meta(description="false leaves what `user_id` likes out")] = "true"
    safe: Annotated[Truth, Meta(description="false shows unsafe items, too")] = "true"
    explain: Annotated[Truth, Meta(description="true tells the place of each item in each ranking")] = "false"

    def request(self) -> SearchRequest:
        """The same, as it would be sent in a body."""
        filters: dict[str, list[str]] = {}
        for each in self.filter:
            label, _, value = each.partition("=")
            filters.setdefault(label, []).append(value)
        return SearchRequest(
            text=self.q,
            user_id=self.user_id,
            filters=filters,
            offset=self.offset,
            limit=self.limit,
            personal=self.personal == "true",
            safe=self.safe == "true",
            explain=self.explain == "true",
        )


class Queued(Struct, frozen=True, forbid_unknown_fields=True):
    """What may follow the `?` of what waits for moderators."""

    order: Annotated[Order, Meta(description="which come first: who waits longest, or what came last")] = "longest"
    offset: Annotated[int, Meta(ge=0, le=1_000_000, description="uploads left out before the first")] = 0
    limit: Annotated[int, Meta(ge=1, le=100, description="uploads wanted")] = 20


class Endpoint(Struct, frozen=True, kw_only=True):
    """One thing to ask for.

    role     who may; a user's token may, too, where the path names the user
    shared   any user's token may, too
    answer   what comes back: a type, or the media types of a body without one
    query    what may follow the `?`
    body     what is to be sent, as JSON
    problems statuses of errors, beside those that any request may meet
    """

    method: str
    path: str
    handle: Handle
    summary: str
    role: Role
    answer: type[Struct] | tuple[str, ...]
    status: int = 200
    shared: bool = False
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    problems: tuple[int, ...] = ()


class Api:
    """The handlers.

    desk       where moderators decide; None where uploads are not looked at. Where they are, no file is shown of which
               nobody knows that it was
    pseudonym  user id -> what stands for it in Kafka and Cassandra; who asks is told of the id that they asked with
    clock      the wall clock, seconds since the epoch
    """

    def __init__(
        self,
        *,
        reader: Reader,
        shelf: Shelf,
        feed: Feed,
        flow: FlowReader,
        sink: Sink,
        media: Media,
        search: Searching,
        experiments: Callable[[], Experiments],
        desk: Desk | None = None,
        pseudonym: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._shelf = shelf
        self._feed = feed
        self._flow = flow
        self._sink = sink
        self._media = media
        self._search = search
        self._experiments = experiments
        self._desk = desk
        self._pseudonym = pseudonym
        self._clock = clock

    def endpoints(self) -> Sequence[Endpoint]:
        """The table."""
        users, items, waiting = "/users/{user_id}", "/items/{item_id}", "/moderation/{item_id}"
        return (
            Endpoint(
                method="GET",
                path=f"{users}/recommendations",
                handle=self.recommendations,
                summary="The best items for a user, now",
                role=Role.lists,
                answer=UserList,
                query=Wanted,
                problems=(503,),
            ),
            Endpoint(
                method="GET",
                path=f"{users}/recommendations/stream",
                handle=self.stream,
                summary="The user's list, and each refreshed one as it is published (server-sent events)",
                role=Role.lists,
                answer=("text/event-stream",),
                query=Wanted,
                problems=(503,),
            ),
            Endpoint(
                method="GET",
                path=f"{users}/explanations/{{item_id}}",
                handle=self.explanation,
                summary="Why an item stands where it does in a user's list, and what it would be without each click",
                role=Role.lists,
                answer=Explained,
                query=Asked,
                problems=(404, 503),
            ),
            Endpoint(
                method="GET",
                path=users,
                handle=self.user,
                summary="What is known of a user: taste by modality, history, traits",
                role=Role.admin,
                answer=User,
                problems=(404, 503),
            ),
            Endpoint(
                method="GET",
                path=items,
                handle=self.item,
                summary="An item of the catalogue",
                role=Role.lists,
                shared=True,
                answer=Item,
                problems=(404,),
            ),
            Endpoint(
                method="GET",
                path=f"{items}/similar",
                handle=self.similar,
                summary="Items most like one",
                role=Role.lists,
                shared=True,
                answer=SimilarItems,
                query=Resembling,
                problems=(404, 503),
            ),
            Endpoint(
                method="GET",
                path=f"{items}/media/{{modality}}",
                handle=self.file,
                summary="A file of an item, as it was uploaded",
                role=Role.lists,
                shared=True,
                answer=("image/*", "audio/*", "video/*"),
                problems=(404,),
            ),
            Endpoint(
                method="GET",
                path="/search",
                handle=self.search_words,
                summary="Items found by words, and by filters",
                role=Role.lists,
                shared=True,
                answer=SearchResults,
                query=Looking,
            ),
            Endpoint(
                method="POST",
                path="/search",
                handle=self.search,
                summary="Items found by words, by files like them, and by filters",
                role=Role.lists,
                shared=True,
                answer=SearchResults,
                body=SearchRequest,
                problems=(413, 415, 422),
            ),
            *(
                Endpoint(
                    method="POST",
                    path=f"/events/{topic.removeprefix('events.')}",
                    handle=self._taking(topic),
                    summary=f"Send an event to {topic}",
                    role=Role.events,
                    shared=True,  # for events of their own: the handler looks
                    answer=Accepted,
                    status=202,
                    body=kind,
                    problems=(413, 415, 422, 503),
                )
                for topic, kind in EVENT_TYPES.items()
            ),
            Endpoint(
                method="GET",
                path="/activity",
                handle=self.activity,
                summary="The lists that were refreshed last",
                role=Role.admin,
                answer=Activity,
            ),
            Endpoint(
                method="GET",
                path="/experiments",
                handle=self.experiments,
                summary="What the experiments have shown by now",
                role=Role.admin,
                answer=Experiments,
            ),
            Endpoint(
                method="GET",
                path="/moderation",
                handle=self.held,
                summary="Uploads that wait for a moderator, and why",
                role=Role.admin,
                answer=HeldUploads,
                query=Queued,
                problems=(404, 503),
            ),
            Endpoint(
                method="POST",
                path=waiting,
                handle=self.decide,
                summary="Allow or refuse an upload that waits; 409 where it has changed or somebody has decided",
                role=Role.admin,
                answer=Accepted,
                status=202,
                body=Decision,
                problems=(404, 409, 413, 415, 422, 503),
            ),
            Endpoint(
                method="GET",
                path=f"{waiting}/media/{{modality}}",
                handle=self.held_file,
                summary="A file of an upload that waits, as it was looked at",
                role=Role.admin,
                answer=("image/*", "audio/*", "video/*"),
                problems=(404, 503),
            ),
            Endpoint(
                method="GET",
                path="/flow",
                handle=self.flow,
                summary="How the events flow through the workers",
                role=Role.lists,
                answer=Flow,
            ),
        )

    async def recommendations(self, request: web.Request) -> web.Response:
        user_id = _id(request, "user_id")
        made, how, age = await self._reader.recommendations(self._pseudonym(user_id), _in_query(request, Wanted).k)
        metrics.HTTP_LISTS.labels(how).inc()
        return web.Response(
            body=msgspec.json.encode(structs.replace(made, user_id=user_id)),
            content_type="application/json",
            headers={"Cache-Control": "private, max-age=1, stale-while-revalidate=60", "Age": str(int(age))},
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        user_id, k = _id(request, "user_id"), _in_query(request, Wanted).k
        if len(self._feed) >= MAX_STREAMS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_STREAMS} streams are open, and no more may be")
        known_as = self._pseudonym(user_id)

        def event(made: UserList) -> bytes:
            return _event(structs.replace(made, user_id=user_id))

        with self._feed.subscribe(known_as) as lists, metrics.HTTP_STREAMS.track_inprogress():
            now, *_ = await self._reader.recommendations(known_as, k)
            response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
            response.content_type = "text/event-stream"
            known = request.headers.get("Last-Event-ID") == str(now.list_version)
            try:
                await response.prepare(request)
                await response.write(b": known\n\n" if known else event(now))
                while (each := await _next(lists.next)) is not None:
                    await response.write(each if isinstance(each, bytes) else event(self._reader.shown(each, k)))
            except ConnectionResetError:
                pass  # the client has gone
        return response

    async def explanation(self, request: web.Request) -> Explained:
        user_id = _id(request, "user_id")
        try:
            found = await self._reader.explanation(
                self._pseudonym(user_id), _id(request, "item_id"), _in_query(request, Asked).past
            )
        except Unexplained as refusal:
            raise web.HTTPNotFound(text=str(refusal)) from refusal
        return structs.replace(found, user_id=user_id)

    async def user(self, request: web.Request) -> User:
        user_id = _id(request, "user_id")
        found = await self._reader.user(self._pseudonym(user_id))
        if found is None:
            raise web.HTTPNotFound(text="no event of this user has been handled")
        return structs.replace(found, user_id=user_id)

    async def item(self, request: web.Request) -> Item:
        found = self._shelf.item(_id(request, "item_id"))
        if found is None:
            raise web.HTTPNotFound(text="no item of this id has been uploaded")
        return found

    async def similar(self, request: web.Request) -> SimilarItems:
        item, wanted = await self.item(request), _in_query(request, Resembling)
        return await self._reader.similar(item.item_id, wanted.k, self._shown_to(request, wanted.user_id))

    async def file(self, request: web.Request) -> web.Response:
        modality = request.match_info["modality"]
        found = self._shelf.file(_id(request, "item_id"), modality)
        if found is None or modality not in FILES:
            raise web.HTTPNotFound(text="the item has no such file")
        if found.digest is None and self._desk is not None:
            metrics.HTTP_FILES_KEPT_BACK.labels("unchecked").inc()
            raise web.HTTPNotFound(text="nobody knows whether this file was looked at; upload the item again")
        return await self._content(found, modality)

    async def held_file(self, request: web.Request) -> web.Response:
        modality = request.match_info["modality"]
        found = await self._moderators().file(_id(request, "item_id"), modality)
        if found is None:
            raise web.HTTPNotFound(text="no upload that waits has such a file")
        response = await self._content(found, modality)
        response.headers["Cache-Control"] = "no-store"  # under the same name another may wait next
        return response

    async def _content(self, found: File, modality: str) -> web.Response:
        try:
            content = await self._media.fetch(found.uri, MODALITIES[modality].max_bytes)
        except PartRefused as refusal:
            # Where the file is, and why it cannot be read, is for the operator.
            raise web.HTTPNotFound(text=f"the file cannot be read: {str(refusal).partition(':')[0]}") from refusal
        if found.digest is not None and sha256(content).hexdigest() != found.digest:
            metrics.HTTP_FILES_KEPT_BACK.labels("changed").inc()
            raise web.HTTPNotFound(text="this is no longer the file that was uploaded; upload the item again")
        kind = files.media_type(content)
        if kind is None:
            raise web.HTTPNotFound(text="the file is neither a picture, a sound nor a film that browsers show")
        return web.Response(body=content, content_type=kind, headers=files.HEADERS)

    async def held(self, request: web.Request) -> HeldUploads:
        wanted = _in_query(request, Queued)
        return await self._moderators().page(wanted.order, wanted.offset, wanted.limit)

    async def decide(self, request: web.Request) -> Accepted:
        item_id, desk = _id(request, "item_id"), self._moderators()
        try:
            return await desk.decide(item_id, await _in_body(request, Decision), request[IDENTITY].name)
        except NotHeld as refusal:
            raise web.HTTPNotFound(text=str(refusal)) from refusal
        except Outdated as refusal:
            raise web.HTTPConflict(text=str(refusal)) from refusal

    def _moderators(self) -> Desk:
        if self._desk is None:
            raise web.HTTPNotFound(text="uploads are not looked at here: ANABRANCH_MODERATION__ENABLED is not true")
        return self._desk

    async def search_words(self, request: web.Request) -> SearchResults:
        return await self._found(request, _in_query(request, Looking).request())

    async def search(self, request: web.Request) -> SearchResults:
        return await self._found(request, await _in_body(request, SearchRequest))

    async def _found(self, request: web.Request, wanted: SearchRequest) -> SearchResults:
        known_as = self._shown_to(request, wanted.user_id)
        asked_at = self._clock()
        fields = structs.asdict(wanted) | {
            "user_id": known_as,
            "personal": wanted.personal and wanted.user_id is not None,
        }
        query = Query(event_id=str(uuid4()), ts=asked_at, **fields)
        for part in query.media:
            if part not in FILES:
                raise Rejected("unknown_part", f"media {part!r} is none of: {', '.join(FILES)}")
        found = await self._search(query)
        found.user_id, found.published_at, found.emitted_at = wanted.user_id, asked_at, self._clock()
        return found

    def _shown_to(self, request: web.Request, named: str | None) -> str | None:
        """The user whom an answer is for, as Kafka and Cassandra know them: the one named, else the token's own."""
        identity = request[IDENTITY]
        if named is not None and not identity.may(Role.lists, named):
            raise web.HTTPForbidden(text="this token may search as its own user alone")
        user_id = named or identity.user
        return user_id and self._pseudonym(user_id)

    async def activity(self, _: web.Request) -> Activity:
        return self._feed.activity()

    async def experiments(self, _: web.Request) -> Experiments:
        return self._experiments()

    async def flow(self, _: web.Request) -> Flow:
        return await self._flow.read()

    def _taking(self, topic: str) -> Handle:
        async def take(request: web.Request) -> Struct:
            value = await _json(request)
            event = read(topic, value, now=self._clock())
            if not request[IDENTITY].may(Role.events, getattr(event, "user_id", None)):
                raise web.HTTPForbidden(text="this token may send events of its own user alone")
            if isinstance(event, Upload) and (event.moderator or event.decided_at):
                raise web.HTTPForbidden(text="moderators decide at /moderation: an upload sent here names none")
            named = getattr(event, "user_id", None)
            if named is not None and (known_as := self._pseudonym(named)) != named:
                value = msgspec.json.encode(msgspec.json.decode(value) | {"user_id": known_as})
                event = structs.replace(event, user_id=known_as)
            await self._sink.publish([Outgoing(topic, event.key.encode(), value, _traced(request))])
            return Accepted(event.event_id, topic)

        return take


def _traced(request: web.Request) -> tuple[tuple[str, bytes], ...]:
    """The span that an event comes from, if its sender traces, for whoever handles it; where we trace, ours."""
    if tracing.trace_id():
        return ()
    parent = request.headers.get(PARENT, "")
    return ((PARENT, parent.encode()),) if TRACE_PARENT.fullmatch(parent) else ()


def _id(request: web.Request, name: str) -> str:
    try:
        return msgspec.convert(request.match_info[name], Id)
    except msgspec.ValidationError as error:
        raise web.HTTPBadRequest(text=f"{name}: {error}") from error


async def _json(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON, with Content-Type: application/json")
    try:
        return await request.read()
    except (web.RequestPayloadError, ConnectionError) as error:
        raise web.HTTPBadRequest(text="the body is cut off, or not encoded as its headers say") from error


async def _in_body(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await _json(request), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error


def _in_query(request: web.Request, kind: type[T]) -> T:
    """What follows the `?`; of what may be given again, all, and of the rest the first."""
    listed = {each.name for each in structs.fields(kind) if each.default_factory is list}
    given = {name: request.query.getall(name) if name in listed else request.query[name] for name in request.query}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _event(made: UserList) -> bytes:
    return b"event: list\nid: %d\ndata: %s\n\n" % (made.list_version, msgspec.json.encode(made))


async def _next(wait: Callable[[], Awaitable[Any]]) -> Any:
    """What comes next, or a comment that keeps the connection open."""
    try:
        return await asyncio.wait_for(wait(), HEARTBEAT)
    except TimeoutError:
        return b": still here\n\n"
