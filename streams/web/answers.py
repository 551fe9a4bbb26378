"""What HTTP answers with: the types, from which the OpenAPI document is made."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from streams.core.explain import Explanation, PastItem
from streams.events import Decided, Id, Note, SearchFilters, SearchLimit, SearchOffset, SearchWords


class Problem(Struct, frozen=True, omit_defaults=True):
    """What went wrong (RFC 9457).

    reason  for an event that is refused, one of those in docs/events.md
    """

    status: int
    title: str
    detail: str
    reason: str = ""


class Item(Struct, frozen=True, kw_only=True):
    """An item of the catalogue.

    at          when it was uploaded, seconds since the epoch
    media       modalities whose file can be had at `/items/{item_id}/media/{modality}`
    modalities  those that were understood: each has a vector
    refused     part -> why it could not be embedded
    language    ISO 639 code of its words; empty where that is not clear
    withdrawn   it is in no list
    """

    item_id: str
    title: str
    attributes: list[str]
    at: float
    media: list[str]
    modalities: list[str]
    refused: dict[str, str]
    language: str
    withdrawn: bool


class ListedItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item of a list, and why it is there.

    reason         what spoke for it most: 'similar', 'sequence', 'popular', ...
    because        the past item that did, where one did
    shared         what both have in common, `name=value`, where that is the reason
    title          as uploaded, as are `attributes`
    media          modalities whose file can be had at `/items/{item_id}/media/{modality}`
    """

    item_id: str
    score: float
    reason: str = ""
    because: str = ""
    because_title: str = ""
    shared: str = ""
    title: str = ""
    attributes: list[str] = []
    media: list[str] = []


class UserList(Struct, frozen=True, kw_only=True):
    """A user's list, best item first.

    list_version  grows with every change of the user; 0 for one who is not known yet
    made_at       seconds since the epoch
    modalities    how much each speaks for this user; sums to 1
    variants      experiment -> the arm by which the list was made
    """

    user_id: str
    list_version: int
    made_at: float
    items: list[ListedItem]
    modalities: dict[str, float]
    variants: dict[str, str]


class PastTouch(PastItem, frozen=True, kw_only=True):
    """What a touched item does for the one that is explained, found out by taking it away."""

    title: str


class Explained(Explanation, frozen=True, kw_only=True):
    """Why an item stands where it does in a user's list, as it would be made now.

    sentence  in words
    variants  experiment -> the user's arm, by which it is explained; of two interleaved, by the first's
    """

    user_id: str
    title: str
    list_version: int
    sentence: str
    past: list[PastTouch]
    variants: dict[str, str]


class SimilarItems(Struct, frozen=True):
    """Items most like one, by what they say, look and sound like; `score` is the cosine."""

    item_id: str
    items: list[ListedItem]


class ModalityTaste(Struct, frozen=True, kw_only=True):
    """How a user's taste looks in one modality.

    weight    how much it speaks for this user; sums to 1 over the modalities
    evidence  the touches it is made of, faded with time
    typical   items of theirs that lie closest to it
    """

    modality: str
    weight: float
    evidence: float
    typical: list[ListedItem]


class Touch(Struct, frozen=True, kw_only=True):
    """An item that a user touched; `weight` is 1 for a click, less for a view."""

    item_id: str
    title: str
    media: list[str]
    at: float
    weight: float


class User(Struct, frozen=True, kw_only=True):
    """What is known of a user.

    version  of their list
    as_of    time of their latest event, seconds since the epoch
    taste    by modality
    history  the latest touch first
    waiting  touches of items that are not uploaded yet
    traits   what they said of themselves, JSON
    """

    user_id: str
    version: int
    as_of: float
    taste: list[ModalityTaste]
    history: list[Touch]
    waiting: int
    traits: str


class SearchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody looks for; the fields are those of `Query`, the event."""

    user_id: Id | None = None
    text: SearchWords = ""
    media: dict[str, Annotated[str, Meta(min_length=1)]] = {}
    filters: SearchFilters = {}
    offset: SearchOffset = 0
    limit: SearchLimit = 10
    personal: bool = True
    safe: bool = True
    explain: bool = False


class Accepted(Struct, frozen=True):
    """Kafka has the event; it will be learned from in a moment."""

    event_id: str
    topic: str


Order = Literal["longest", "newest"]
"""Of uploads that wait: who waits longest, or what came last, first."""


class HeldUpload(Struct, frozen=True, kw_only=True):
    """An upload that waits for a moderator.

    media        modalities whose file can be had at `/moderation/{item_id}/media/{modality}`
    scores       part -> how harmful it is, 0 to 1
    why          the parts by which it is held, the most harmful first, by the limits that this server is set to
    held_at      since when it waits, seconds since the epoch
    uploaded_at  `ts` of the upload
    fingerprint  of all this and of the files: a decision names it, so that it is on nothing else
    """

    item_id: str
    title: str
    text: str
    attributes: list[str]
    media: list[str]
    scores: dict[str, float]
    why: list[str]
    held_at: float
    uploaded_at: float
    fingerprint: str


class HeldUploads(Struct, frozen=True):
    """Some of the uploads that wait.

    total    how many wait
    decided  what was decided last, by whom, the latest first
    """

    uploads: list[HeldUpload]
    total: int
    decided: list[Decided] = []


class Decision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a moderator decides on an upload that waits.

    fingerprint  of what they looked at
    note         what is to be kept of why; shown with an item that is refused
    """

    decision: Literal["allow", "refuse"]
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    note: Note = ""


class Refreshed(Struct, frozen=True):
    """A list that a worker has just published.

    events      that caused it
    latency_ms  from the arrival of the first of them in Kafka to the list
    """

    user_id: str
    list_version: int
    emitted_at: float
    events: int
    latency_ms: float


class Activity(Struct, frozen=True):
    """The latest refreshed lists, the newest first."""

    refreshed: list[Refreshed]


class Timings(Struct, frozen=True):
    """A histogram since the start of the worker.

    buckets  upper bound in seconds, and how many were at most that; `count` is without a bound
    """

    count: float
    seconds: float
    buckets: list[tuple[float, float]]


class Flow(Struct, frozen=True):
    """What the workers have done so far, all of them together; ask again, and the difference is the rate.

    at       seconds since the epoch
    workers  host:port -> what is wrong with it; empty where nothing is
    events   topic -> accepted
    refused  topic -> dead-lettered
    stages   queue, embed, store, learn, rank, emit -> how long each micro-batch took
    waiting  topic -> events not yet handled
    """

    at: float
    workers: dict[str, str]
    events: dict[str, float]
    refused: dict[str, float]
    lists: float
    items: float
    waiting: dict[str, float]
    stages: dict[str, Timings]
    event_to_list: Timings
