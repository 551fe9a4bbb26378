"""`anabranch forget` and `anabranch export`: what a user may ask for."""

import time
from typing import Any
from uuid import uuid4

import msgspec
from rich.console import Console

from encoders.contract import DIM
from streams import consumer
from streams.adapters.cassandra import CassandraStore
from streams.adapters.index import EFFORT_FOR_LISTS, VectorIndex
from streams.app import following
from streams.core.recommender import Remembered
from streams.core.user import UserState
from streams.errors import AnabranchError
from streams.events import Forget
from streams.progress import reading
from streams.replica import Replica
from streams.settings import Retention, Settings
from streams.topics import TOPICS


def forget(settings: Settings, user_id: str, console: Console) -> None:
    """Have a user forgotten, and print what was erased and what expires by itself. Raises AnabranchError."""
    request = Forget(event_id=f"forget-{uuid4()}", ts=time.time(), user_id=user_id)
    done = consumer.forget(settings.kafka, request)
    if done is None:
        raise AnabranchError(
            f"no confirmation from Kafka at {settings.kafka.address}; the request is there, and is carried out once"
            " a worker runs: `anabranch worker`"
        )
    console.print(f"user {user_id!r} is forgotten", highlight=False)
    profile = "a profile" if done.profile else "no profile"
    console.print(f"erased: {done.interactions} interactions, {profile}, taste, list, sessions", highlight=False)
    console.print(f"expires by itself, in days: {expiring(settings.retention)}", highlight=False, soft_wrap=True)


def expiring(retention: Retention) -> str:
    """The topics that keep messages about users for a time, and for how many days."""
    kept = sorted((topic.days(retention), topic.name) for topic in TOPICS if topic.personal and not topic.compact)
    return ", ".join(f"{name} {days}" for days, name in kept)


async def export(settings: Settings, user_id: str, console: Console) -> dict[str, Any]:
    """All that is held of a user, as JSON would have it; progress on the console. Raises AnabranchError.

    user    None where nobody of that name is stored
    list    the one they have now, None where there is none
    memory  what the memory that all share holds of them by name, None where nothing: the log is followed to its end
    """
    store = await CassandraStore.connect(settings.cassandra, dedup_window=settings.worker.dedup_window)
    try:
        stored_as = settings.kafka.pseudonym(user_id)
        stored = (await store.read_users([stored_as])).get(stored_as)
    finally:
        await store.close()
    return {
        "user_id": user_id,
        "user": as_json(stored) if stored and (stored.known or stored.consent.at) else None,
        "list": msgspec.to_builtins(consumer.latest(settings.kafka, user_id)),
        "memory": memory_as_json(await remembered(settings, stored_as, store.items_topic, console)),
        "expiring": expiring(settings.retention),
    }


async def remembered(settings: Settings, stored_as: str, items_topic: str, console: Console) -> Remembered | None:
    """What every worker holds of a user. Raises AnabranchError.

    items_topic  the log of items
    """
    replica = Replica(
        VectorIndex(DIM, EFFORT_FOR_LISTS), worker="export", items_topic=items_topic, settings=settings.recommender
    )
    with reading(console) as told:
        async with following(settings.kafka, replica, told=told):
            return replica.recommender.remembered(stored_as)


def memory_as_json(held: Remembered | None) -> dict[str, Any] | None:
    """Likewise as `as_json`."""
    if held is None:
        return None
    return {
        "touches": held.touches,
        "session": [{"item_id": item_id, "at": at, "weight": weight} for item_id, at, weight in held.session],
        "profile": held.profile.tolist() if held.profile is not None else None,
    }


def as_json(user: UserState) -> dict[str, Any]:
    """A stored user; vectors as lists of numbers, times in seconds since the epoch."""
    history = zip(user.history.item_ids, user.history.times, user.history.weights, strict=True)
    profile = None
    if user.profile is not None:
        profile = {"traits": msgspec.json.decode(user.traits), "at": user.profile_at, "vector": user.profile.tolist()}
    return {
        "version": user.version,
        "history": [{"item_id": item_id, "at": at, "weight": weight} for item_id, at, weight in history],
        "waiting": [{"item_id": each.item_id, "at": each.at, "weight": each.weight} for each in user.waiting],
        "profile": profile,
        "taste": {
            "as_of": user.taste.as_of,
            "totals": {modality: total.tolist() for modality, total in user.taste.totals.items()},
            "masses": {modality: list(mass) for modality, mass in user.taste.masses.items()},
        },
        "consent": msgspec.to_builtins(user.consent),
        "recent_events": user.recent_events.to_bytes().hex(),
    }
