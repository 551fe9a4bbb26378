"""What crosses Kafka: the events people send, the lists they get, and how a bad event is told apart.

Every message is one JSON object. Unknown extra fields are accepted, so that a new producer can talk to an old
worker; a missing or wrong one is refused with a reason (`REASONS`) and becomes a dead letter.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct

from encoders.contract import DIM, MODALITIES
from streams.errors import Rejected

VERSION = 1
ITEMS = "items.embedded"
"""The log of items, until it is embedded anew: then it has a number after this."""
QUEUE, DECISIONS = "moderation.queue", "moderation.decisions"
SHOWN = "search.shown"
MAX_EVENT_BYTES = 1024 * 1024
FLOAT_BYTES = 4
MAX_FUTURE_SECONDS = 300.0
LAST_TIME = 1e11  # seconds since the epoch, in the year 5138: far beyond any clock, and far within what can be computed
FILES = [name for name, modality in MODALITIES.items() if modality.uploaded_as_file]

Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="1 to 128 printable characters",
    ),
]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Note = Annotated[str, Meta(max_length=500)]
MAX_MODERATOR = 100
Moderator = Annotated[str, Meta(max_length=MAX_MODERATOR)]
SearchWords = Annotated[str, Meta(max_length=2_000)]
SearchFilters = Annotated[dict[Name, Annotated[list[Name], Meta(min_length=1, max_length=50)]], Meta(max_length=20)]
SearchOffset = Annotated[int, Meta(ge=0, le=900)]
SearchLimit = Annotated[int, Meta(ge=1, le=100)]
Seconds = Annotated[float, Meta(description="seconds since the epoch")]
MAX_COUNT = 2**62
Place = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
S = TypeVar("S", bound=Struct)

REASONS = {
    "empty": "the message has no bytes",
    "oversized": f"the message is larger than {MAX_EVENT_BYTES} bytes",
    "not_utf8": "the bytes are not UTF-8",
    "not_json": "the text is not JSON, or is nested too deeply",
    "not_finite": "a number is NaN, infinite or too large for a double",
    "not_an_object": "the JSON is not an object",
    "unknown_version": f"`version` is not {VERSION}",
    "missing_field": "a required field is absent",
    "wrong_type": "a field has another type than the schema says",
    "out_of_range": "a value lies outside what the schema allows",
    "bad_time": "`ts` is not a time after 1970",
    "future": f"`ts` lies more than {MAX_FUTURE_SECONDS:.0f} s ahead of the worker's clock",
    "wrong_key": "the Kafka key is not the event's user_id (item_id for uploads, event_id for queries)",
    "wrong_partition": "the message is not in the partition that its key belongs to (Kafka's murmur2)",
    "nothing_to_embed": "an upload has neither text nor media",
    "unknown_part": "the media of an upload or a query names a modality that does not exist",
}


class Event(Struct, kw_only=True, frozen=True, gc=False):
    """What every event has.

    event_id  unique for the producer; a second delivery of the same id changes nothing
    ts        when it happened, seconds since the epoch
    version   of the schema
    """

    key_field: ClassVar[str] = "user_id"

    event_id: Id
    ts: Seconds
    version: int = VERSION

    @property
    def key(self) -> str:
        """The Kafka key: everything about one user (or item) goes through one partition."""
        return str(getattr(self, self.key_field))


class Interaction(Event, kw_only=True, frozen=True, gc=False):
    """A user met an item.

    position  0-based place in the list where it was shown, if it was
    variant   an experiment arm by which that list was made; a click that names another is put down to no list
    query_id  the `event_id` of the query whose answer showed it, if one did; `position` is the place there
    dwell_s   seconds spent on the item
    rating    what the user said of it, from 0, the worst, to 1
    """

    user_id: Id
    item_id: Id
    position: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    variant: Annotated[str, Meta(max_length=64)] | None = None
    query_id: Id | None = None
    dwell_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    rating: Annotated[float, Meta(ge=0, le=1)] | None = None


class Click(Interaction, kw_only=True, frozen=True, gc=False):
    """The user chose the item."""


class View(Interaction, kw_only=True, frozen=True, gc=False):
    """The user saw the item and did not choose it, or liked it less."""


class Upload(Event, kw_only=True, frozen=True):
    """An item enters the catalogue, or changes.

    text        what there is to read about it
    media       modality -> URI of the file (`file:`, `http(s):`, `s3:`), or its bytes as a `data:` URI
    attributes  short tags, such as genres
    withdrawn   true takes the item out of every list
    allowed     of an upload that was held: a moderator's seal on this very content, see `core.moderation`
    note        what a moderator says of why they allow or withdraw it
    moderator   who that is; empty where it is not known, or nobody decided
    decided_at  when they did, seconds since the epoch; 0 likewise
    """

    key_field: ClassVar[str] = "item_id"

    item_id: Id
    title: Annotated[str, Meta(max_length=1_000)] = ""
    text: Annotated[str, Meta(max_length=100_000)] = ""
    media: dict[str, Annotated[str, Meta(min_length=1)]] = {}
    attributes: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)] = []
    withdrawn: bool = False
    allowed: Annotated[str, Meta(max_length=64)] = ""
    note: Note = ""
    moderator: Moderator = ""
    decided_at: Seconds = 0.0

    def content(self, digests: Mapping[str, str]) -> bytes:
        """What a moderator looks at, as bytes.

        digests  of the files that were looked at, see `Embedded`: what a URI leads to may change
        """
        files = [(part, uri, digests.get(part)) for part, uri in sorted(self.media.items())]
        return encode([self.item_id, self.title, self.text, files, self.attributes])


class Profile(Event, kw_only=True, frozen=True):
    """What a user says of themselves, what they allow, or both; what is not said stays as it was.

    traits       free-form, such as {"age": 24, "occupation": "writer"}
    profiling    false: nothing of what they do or say is kept or learned from, and what was is erased
    use_profile  false: the vector made of `traits` has no say in their lists, and nobody learns from it
    """

    user_id: Id
    traits: dict[str, str | int | float | bool | list[str] | None] | None = None
    profiling: bool | None = None
    use_profile: bool | None = None

    @property
    def is_about_consent(self) -> bool:
        return self.profiling is not None or self.use_profile is not None


class Forget(Event, kw_only=True, frozen=True, gc=False):
    """All that is known of the user is to be erased: what happened until `ts`, and what was handled by then."""

    user_id: Id


class Query(Event, kw_only=True, frozen=True):
    """Somebody looks for something: by words, by media like it, or both. Without either, what is newest is shown.

    user_id   who asks; what they like has a say in the order, unless `personal` is false
    text      as typed
    media     modality -> URI of a file that what is looked for resembles, as in an upload; what is said in `speech` is
              also looked for by its words
    filters   name -> values, of which an item must have one: of its attributes (`tag` where they have no name), of
              `language`, and of `has`, its modalities
    offset    items of the order that are left out before the first shown
    safe      false shows unsafe items, too
    explain   true has each item say at which place of which ranking it was
    """

    key_field: ClassVar[str] = "event_id"

    user_id: Id | None = None
    text: SearchWords = ""
    media: dict[str, Annotated[str, Meta(min_length=1)]] = {}
    filters: SearchFilters = {}
    offset: SearchOffset = 0
    limit: SearchLimit = 10
    personal: bool = True
    safe: bool = True
    explain: bool = False


class Recommended(Struct, frozen=True, gc=False, omit_defaults=True):
    """One item of a list.

    because  the past item that spoke for it, where one did
    arm      the arm that picked it, where the list was interleaved
    shared   what is known to be the same of both, `name=value`, where that is the reason
    """

    item_id: str
    score: float
    reason: str
    because: str | None = None
    arm: str | None = None
    shared: str | None = None


class Recommendations(Struct, kw_only=True):
    """A user's refreshed list, best item first.

    list_version   grows with every change of the user; drop any list with a smaller one
    event_ids      the events that caused this refresh
    event_ts       the latest `ts` among them
    published_at   when the first of them was written to Kafka, seconds since the epoch
    emitted_at     when this list was; the difference is the event-to-list latency
    modalities     how much each speaks for this user: the more alike their items are in it, the more; sums to 1
    variants       experiment -> the arm by which the list was made
    """

    user_id: str
    list_version: int
    items: list[Recommended]
    event_ids: list[str]
    event_ts: float
    published_at: float
    emitted_at: float
    modalities: dict[str, float] = {}
    variants: dict[str, str] = {}
    version: int = VERSION


class Outcome(Struct, kw_only=True, frozen=True, gc=False, omit_defaults=True):
    """That a list was given to a user, and what came of the one that they held before.

    user          a digest of the user's id: whoever has a list of ids can find out whose it is
    at            when the list was published, seconds since the epoch
    list_version  of the list
    variants      experiment -> the arm by which it was made
    items         in it
    seconds       from the arrival of the first event that caused it
    before        the variants of the list before
    clicks        on anything while that was held, within the plan's window
    place         the best place, 1 the first, of an item of its first ten that was clicked; 0 where none was
    credit        arm -> items clicked that it had picked, where the list was interleaved
    """

    user: str
    at: float
    list_version: int
    variants: dict[str, str]
    items: int
    seconds: float
    before: dict[str, str] = {}
    clicks: int = 0
    place: int = 0
    credit: dict[str, int] = {}
    version: int = VERSION


class Forgotten(Struct, kw_only=True, frozen=True):
    """A user is forgotten: it is durable, and every worker is told.

    event_id      of the request
    interactions  how many the user's history had; 0 for somebody who was not known, and for a request that came twice
    profile       whether there was one
    forgotten_at  what happened until then is forgotten, should it still arrive; seconds since the epoch
    """

    event_id: str
    user_id: str
    interactions: int
    profile: bool
    forgotten_at: float
    version: int = VERSION


class FoundItem(Struct, frozen=True, gc=False, omit_defaults=True):
    """One item of an answer. `places` says at which place of which ranking it was, where the query asked for that."""

    item_id: str
    score: float
    title: str = ""
    places: dict[str, int] = {}


class SearchResults(Struct, kw_only=True):
    """The answer to a query, best item first.

    query_id      the query's event_id
    items         those after the query's `offset`, at most `limit`
    total         items found; where there are many, those that were looked at
    facets        name -> value -> how many of these have it, to filter by
    did_you_mean  the words, the unknown ones replaced by what was probably meant; empty where all are known
    heard         what was understood of the query's speech
    refused       part of the query -> why it was left out
    weights       ranking that had a say -> what it counted, where the query asked for that
    published_at  when the query was written to Kafka, seconds since the epoch
    emitted_at    when this answer was
    """

    query_id: str
    user_id: str | None = None
    items: list[FoundItem]
    total: int
    facets: dict[str, dict[str, int]] = {}
    did_you_mean: str = ""
    heard: str = ""
    refused: dict[str, str] = {}
    weights: dict[str, float] = {}
    published_at: float = 0.0
    emitted_at: float = 0.0
    version: int = VERSION


class Shown(Struct, kw_only=True, frozen=True, gc=False):
    """What an answer to a query showed, and why in that order: for the clicks that come of it.

    items  those shown, best first
    gains  ranking -> what it gave to the score of each of them, before its weight
    """

    query_id: str
    items: list[str]
    gains: dict[str, list[float]]
    version: int = VERSION


class Held(Struct, kw_only=True, frozen=True):
    """An upload that waits for a moderator, and is in no list meanwhile.

    scores   part -> how harmful it is, 0 to 1
    held_at  seconds since the epoch
    digests  of its files as they were looked at, see `Embedded`
    """

    upload: Upload
    scores: dict[str, float]
    held_at: float
    digests: dict[str, str] = {}
    version: int = VERSION


class Decided(Struct, kw_only=True, frozen=True):
    """What a moderator has decided on an upload, once a worker has carried it out.

    event_id    of the upload that said so
    moderator   who decided; empty where that is not known
    decided_at  seconds since the epoch; where that was not told, when it was carried out
    note        what the moderator said of why
    """

    event_id: str
    item_id: str
    decision: Literal["allow", "refuse"]
    decided_at: float
    moderator: str = ""
    note: str = ""
    version: int = VERSION


class Embedded(Struct, kw_only=True, frozen=True):
    """An item as every worker holds it, written once its vectors are stored.

    text     what there is to read about it, and what is said in its speech
    at       `ts` of the upload
    offset   of the upload in its partition of `events.upload`
    media    modality -> URI of the file, as in the upload; without those that were refused, or are the content itself
             (`data:`)
    digests  modality -> SHA-256 of the file that was embedded and looked at, hexadecimal: another may not be shown
    vectors  'fused' and each modality present -> (dim,) little-endian float32
    spaces   the same -> the name of the space its vector is in; without, where the program that wrote it told none
    refused  part -> why it could not be embedded
    language ISO 639 code of the language of its title, text and attributes; empty where that is not clear
    """

    item_id: str
    at: float
    title: str = ""
    text: str = ""
    attributes: list[str] = []
    media: dict[str, str] = {}
    digests: dict[str, str] = {}
    vectors: dict[str, bytes] = {}
    spaces: dict[str, str] = {}
    refused: dict[str, str] = {}
    language: str = ""
    withdrawn: bool = False
    offset: Place = 0
    version: int = VERSION

    @property
    def order(self) -> tuple[int, int]:
        """Of two uploads of an item the greater counts: the later one, and within a millisecond the last in the log."""
        return int(self.at * 1000), self.offset


class LearnedLesson(Struct, frozen=True, gc=False, kw_only=True):
    """What a touch says of the list that its user had before it, of which only the user's worker knows.

    touches  of the user before it
    slope    by the weights of the ranker's features, little-endian float32
    items    those of the list's candidates that it says most of
    pulls    by the bias of each of them, little-endian float32
    """

    touches: Place
    slope: bytes
    items: list[str]
    pulls: bytes


class LearnedTouch(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """An item that a user touched, how much that says (1 for a click, less for a view), and what it teaches.

    rankings  of a click on an answer to a query: ranking -> whether it should have counted more (to 1) or less (to -1)
    """

    event_id: str
    item_id: str
    at: float
    weight: float
    lesson: LearnedLesson | None = None
    rankings: dict[str, float] = {}


class Learned(Struct, kw_only=True, frozen=True):
    """What a user did within one micro-batch, once it is stored: the log that every worker's shared memory follows.

    worker     who stored it
    profile    the user's vector, (dim,) little-endian float32, where the memory may not know it yet; else empty
    forgotten  all that is remembered of the user up to here is to be erased; there are no touches then
    """

    user_id: str
    touches: list[LearnedTouch]
    worker: str
    profile: bytes = b""
    forgotten: bool = False
    version: int = VERSION


EVENT_TYPES: dict[str, type[Event]] = {
    "events.click": Click,
    "events.view": View,
    "events.upload": Upload,
    "events.profile": Profile,
    "events.query": Query,
    "events.forget": Forget,
}
MESSAGE_TYPES: dict[str, type[Struct]] = {
    **EVENT_TYPES,
    "recommendations": Recommendations,
    "experiments": Outcome,
    "search.results": SearchResults,
    SHOWN: Shown,
    "forgotten": Forgotten,
    QUEUE: Held,
    DECISIONS: Decided,
    ITEMS: Embedded,
    "interactions": Learned,
}

_DECODERS = {topic: msgspec.json.Decoder(kind) for topic, kind in EVENT_TYPES.items()}
_ENCODER = msgspec.json.Encoder()
encode = _ENCODER.encode


def decode(topic: str, value: bytes | None, *, key: bytes | None, now: float) -> Event:
    """Read one event as Kafka has it, or say why not.

    topic  one of `EVENT_TYPES`
    key    the Kafka key of the message
    now    the worker's clock, seconds since the epoch

    Raises `Rejected` with one of `REASONS`.

    >>> click = decode("events.click", b'{"event_id":"e1","user_id":"u","item_id":"i","ts":9e8}', key=b"u", now=1e9)
    >>> click.item_id, click.ts, click.rating
    ('i', 900000000.0, None)
    """
    event = read(topic, value, now=now)
    if key != event.key.encode():
        raise Rejected("wrong_key", f"the Kafka key is {key!r}, where {event.key_field} is {event.key!r}")
    return event


def read(topic: str, value: bytes | None, *, now: float) -> Event:
    """`decode`, for whoever is to give the message its key."""
    if not value:
        raise Rejected("empty", "the message has no bytes")
    if len(value) > MAX_EVENT_BYTES:
        raise Rejected("oversized", f"{len(value)} bytes, where {MAX_EVENT_BYTES} are allowed")
    try:
        event = _DECODERS[topic].decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(value, error) from error
    if event.version != VERSION:
        raise Rejected("unknown_version", f"version {event.version}, where this worker reads {VERSION}")
    if not 0 < event.ts < math.inf:
        raise Rejected("bad_time", f"ts is {event.ts}")
    if event.ts > now + MAX_FUTURE_SECONDS:
        raise Rejected(
            "future",
            f"ts is {event.ts - now:.0f} s ahead of the worker, where {MAX_FUTURE_SECONDS:.0f} are allowed",
        )
    if isinstance(event, Upload):
        _check_upload(event)
    if isinstance(event, Upload | Query):
        _check_parts(event)
    if isinstance(event, Profile) and event.traits is None and not event.is_about_consent:
        raise Rejected("missing_field", "a profile has none of `traits`, `profiling` and `use_profile`")
    return event


class _Named(Struct):
    event_id: Id = ""


_named = msgspec.json.Decoder(_Named)


def event_id(value: bytes | None) -> str:
    """Of an event that may be bad, for logs; empty where it cannot be told.

    >>> event_id(b'{"event_id": "e1", "ts": "yesterday"}'), event_id(b"[]"), event_id(None)
    ('e1', '', '')
    """
    if not value or len(value) > MAX_EVENT_BYTES:
        return ""
    try:
        return _named.decode(value).event_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def reading(kind: type[S]) -> Callable[[bytes], S]:
    """What reads messages of this kind, and raises `Rejected`, as for an event.

    >>> reading(Forgotten)(b"{}")
    Traceback (most recent call last):
        ...
    streams.errors.Rejected: missing_field: Object missing required field `event_id`
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(value: bytes) -> S:
        try:
            return decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _explain(value, error) from error

    return read


_embedded = reading(Embedded)
_learned = reading(Learned)
_outcome = reading(Outcome)
read_shown = reading(Shown)


def read_embedded(value: bytes, *, dim: int = DIM) -> Embedded:
    """An item as the log `items.embedded` has it.

    dim  of the vectors that this worker computes with

    Raises `Rejected`, as for an event: whatever is wrong with one message must not stop all who follow the log.
    """
    item = _embedded(value)
    for data in item.vectors.values():
        _check_vector(data, dim, "a vector")
    _check_time(item.at, "at")
    return item


def read_learned(value: bytes, *, dim: int = DIM) -> Learned:
    """What a worker has published in the log `interactions`. Raises `Rejected`, as `read_embedded`."""
    learned = _learned(value)
    check_learned(learned, dim=dim)
    return learned


def read_outcome(value: bytes) -> Outcome:
    """What a worker has published in `experiments`. Raises `Rejected`, also for what cannot be counted with."""
    outcome = _outcome(value)
    counts = (outcome.list_version, outcome.items, outcome.clicks, outcome.place, *outcome.credit.values())
    if not all(0 <= each <= MAX_COUNT for each in counts):
        raise Rejected("out_of_range", f"an outcome counts {counts}, where 0 to {MAX_COUNT} are allowed")
    if not 0 <= outcome.seconds <= LAST_TIME:
        raise Rejected("bad_time", f"seconds is {outcome.seconds}")
    return outcome


def check_learned(learned: Learned, *, dim: int = DIM) -> None:
    """Whether it can be learned from. Raises `Rejected`, as `read_learned`."""
    if learned.profile:
        _check_vector(learned.profile, dim, "profile")
    for touched in learned.touches:
        _check_time(touched.at, "at of a touch")
        if touched.lesson is not None:
            _check_vector(touched.lesson.slope, None, "slope of a lesson")
            _check_vector(touched.lesson.pulls, len(touched.lesson.items), "pulls of a lesson")
        if not all(-1 <= each <= 1 for each in touched.rankings.values()):
            raise Rejected("out_of_range", f"rankings of a touch are {touched.rankings}, where -1 to 1 is allowed")


def _check_vector(data: bytes, dim: int | None, what: str) -> None:
    if len(data) % FLOAT_BYTES or (dim is not None and len(data) != dim * FLOAT_BYTES):
        wanted = "whole numbers of 4 bytes" if dim is None else f"{dim * FLOAT_BYTES}, {dim} numbers,"
        raise Rejected("wrong_size", f"{what} has {len(data)} bytes, where {wanted} are wanted")
    numbers = np.frombuffer(data, "<f4")
    if not math.isfinite(numbers.dot(numbers)):
        raise Rejected("not_finite", f"{what} has a number that is none, or too large")


def _check_time(at: float, what: str) -> None:
    if not 0 < at < LAST_TIME:
        raise Rejected("bad_time", f"{what} is {at}")


def _check_upload(upload: Upload) -> None:
    if not (upload.title or upload.text or upload.media or upload.withdrawn):
        raise Rejected("nothing_to_embed", f"item {upload.item_id!r} has neither title, text nor media")
    if not 0 <= upload.decided_at <= LAST_TIME:
        raise Rejected("bad_time", f"decided_at is {upload.decided_at}")


def _check_parts(event: Upload | Query) -> None:
    for part in event.media:
        if part not in FILES:
            raise Rejected("unknown_part", f"media {part!r} is none of: {', '.join(FILES)}")


def _explain(value: bytes, error: Exception) -> Rejected:
    """Name the reason behind msgspec's message; only bad events pay for this second look."""
    detail = str(error)
    try:
        text = value.decode()
    except UnicodeDecodeError as undecodable:
        return Rejected("not_utf8", str(undecodable))
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as unreadable:
        return Rejected("not_json", str(unreadable) or "nested too deeply")
    if not isinstance(parsed, dict):
        return Rejected("not_an_object", f"the JSON is of type {type(parsed).__name__}")
    if not _all_finite(parsed):
        return Rejected("not_finite", "a number is NaN, infinite or too large for a double")
    version = parsed.get("version", VERSION)
    if isinstance(version, int) and version != VERSION:
        return Rejected("unknown_version", f"version {version}, where this worker reads {VERSION}")
    if "missing required field" in detail:
        return Rejected("missing_field", detail)
    if re.search(r"Expected `[^`]+`, got `", detail):
        return Rejected("wrong_type", detail)
    if isinstance(error, msgspec.ValidationError):
        return Rejected("out_of_range", detail)
    return Rejected("not_json", detail)


def _all_finite(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_all_finite, value.values()))
        case list():
            return all(map(_all_finite, value))
        case _:
            return True


def schemas() -> dict[str, dict[str, Any]]:
    """Topic -> its JSON Schema (draft 2020-12), generated from the types above."""
    return {
        topic: {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}
        for topic, kind in MESSAGE_TYPES.items()
    }
