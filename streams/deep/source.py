"""Where models learn from: Kafka, a file of JSON lines, or MovieLens with plots and posters."""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from encoders.contract import MODALITIES
from encoders.training import movies
from encoders.training.deep.content import modalities
from encoders.training.deep.log import Log, of_movies
from streams.core.consent import Consent
from streams.errors import AnabranchError, PartRefused, Rejected
from streams.evaluate import log as recorded
from streams.event_log import EventLog
from streams.events import EVENT_TYPES, Click, Event, Forget, Profile, Upload, View
from streams.events import read as decode
from streams.ports import Media
from streams.searching import media_reader
from streams.settings import Settings

KAFKA = "kafka"
KINDS: Mapping[str, type[Event]] = {
    topic: kind for topic, kind in EVENT_TYPES.items() if kind in (Click, View, Upload, Profile, Forget)
}
FETCHES = 8


class NothingToLearn(AnabranchError):
    """A log holds too few clicks."""


def read(where: str, settings: Settings, parts: Iterable[str]) -> Log:
    """A log to learn from.

    where  'kafka', a file of JSON lines, or a folder with `items.jsonl`, `ml-100k.inter` and `posters/`
    parts  of items, that are to be known of them: no file is fetched that none of them is made of

    Raises AnabranchError.
    """
    media, wanted = media_reader(settings.worker), modalities(parts)
    if where == KAFKA:
        return of_events(_from_kafka(settings), media, wanted)
    path = Path(where)
    if path.is_file():
        return of_events(recorded.events(path, KINDS.values()), media, wanted)
    if (path / "items.jsonl").is_file():
        return of_movies(movies.read(path))
    raise AnabranchError(f"{where!r} is neither 'kafka', nor a file of events, nor a folder with items.jsonl")


def _from_kafka(settings: Settings) -> Iterator[Event]:
    """All that Kafka still has; what workers dead-letter is left out here too."""
    with EventLog(settings.kafka) as log:
        topics = list(KINDS)
        now = time.time()
        for message in log.read(log.starts(topics), log.ends(topics)):
            try:
                yield decode(message.topic, message.value, now=now)
            except Rejected:
                continue


def of_events(events: Iterable[Event], media: Media, wanted: Collection[str] = ()) -> Log:
    """A log of events in any order. Each counts once, and none that its user does not allow, or has had forgotten.

    wanted  modalities whose files are fetched

    Of an item's uploads the latest tells what it is, and the first since when it could be shown.
    """
    told = sorted({event.event_id: event for event in events}.values(), key=lambda each: each.ts)
    users_now = _users(told)
    touches = [each for each in told if isinstance(each, Click | View) and each.ts > users_now[each.user_id].since]
    if not any(isinstance(each, Click) for each in touches):
        raise NothingToLearn("the log holds no click")
    profiles = {
        each.user_id: each
        for each in told
        if isinstance(each, Profile) and each.traits is not None and users_now[each.user_id].may_use(each)
    }
    uploads = [each for each in told if isinstance(each, Upload)]
    latest = {each.item_id: each for each in uploads if not each.withdrawn}
    listed: dict[str, float] = {}
    for each in [*uploads, *touches]:
        listed[each.item_id] = min(each.ts, listed.get(each.item_id, each.ts))
    items = {item_id: place for place, item_id in enumerate(listed)}
    made_of = [latest.get(item_id) for item_id in items]
    users = {user_id: place for place, user_id in enumerate(dict.fromkeys(each.user_id for each in touches))}
    return Log(
        item_ids=list(items),
        texts=[_text(upload) for upload in made_of],
        listed_at=np.array(list(listed.values())),
        traits=[msgspec.json.encode(profiles[user].traits) if user in profiles else b"" for user in users],
        users=np.array([users[each.user_id] for each in touches], np.int64),
        items=np.array([items[each.item_id] for each in touches], np.int64),
        at=np.array([each.ts for each in touches]),
        clicked=np.array([isinstance(each, Click) for each in touches]),
        files={modality: asyncio.run(_files(modality, made_of, media)) for modality in wanted},
    )


class _Allowed(Struct):
    """What a user allows by the end of a log.

    since  what happened until then does not count; infinite while nothing does
    """

    consent: Consent = Consent()
    since: float = 0.0

    def take(self, event: Event) -> None:
        """The next event by time."""
        if isinstance(event, Forget) and self.consent.profiling:
            self.since = event.ts
        elif isinstance(event, Profile):
            before = self.consent.profiling
            self.consent = self.consent.said(event.ts, event.profiling, event.use_profile)
            if before != self.consent.profiling:
                self.since = event.ts if self.consent.profiling else math.inf

    def may_use(self, profile: Profile) -> bool:
        again = profile.profiling is True and profile.ts == self.since  # said along with what is allowed again
        return self.consent.use_profile and (again or profile.ts > self.since)


def _users(told: Iterable[Event]) -> dict[str, _Allowed]:
    users: defaultdict[str, _Allowed] = defaultdict(_Allowed)
    for each in told:
        if isinstance(each, Click | View | Profile | Forget):
            users[each.user_id].take(each)
    return users


def _text(upload: Upload | None) -> str:
    """As workers embed it."""
    return "\n".join(filter(None, (upload.title, upload.text, " ".join(upload.attributes)))) if upload else ""


async def _files(modality: str, uploads: Sequence[Upload | None], media: Media) -> list[bytes | None]:
    """The file of each; None where there is none, or it is refused."""
    slots = asyncio.Semaphore(FETCHES)

    async def fetch(upload: Upload | None) -> bytes | None:
        uri = upload.media.get(modality) if upload else None
        if uri is None:
            return None
        async with slots:
            try:
                return await media.fetch(uri, MODALITIES[modality].max_bytes)
            except PartRefused:
                return None

    return list(await asyncio.gather(*map(fetch, uploads)))
