"""What is left of a user who is to be forgotten, and who is told."""

from collections.abc import Sequence

from streams.core.user import UserState, blank
from streams.events import Event, Forgotten, Learned, encode
from streams.ports import Outgoing
from streams.replica import Replica

FORGOTTEN = "forgotten"


def remains(user: UserState, requests: Sequence[Event]) -> UserState | None:
    """What is left of a user once these are carried out; None where all of them had been before."""
    if not requests:
        return None
    left = blank(user)
    for event in requests:
        left.recent_events.add(event.event_id)
    left.forgotten_at = max(user.forgotten_at, *(event.ts for event in requests))
    return left


def told_to_forget(user: UserState, replica: Replica) -> Outgoing:
    """What all workers are to hear."""
    return replica.telling(Learned(user_id=user.user_id, touches=[], worker=replica.worker, forgotten=True))


def confirmation(user: UserState, left: UserState | None, request: Event) -> Outgoing:
    """What whoever asked is to hear.

    user  as they were
    left  what is left of them, None where the request had been carried out before
    """
    confirmed = Forgotten(
        event_id=request.event_id,
        user_id=user.user_id,
        interactions=len(user.history) if left else 0,
        profile=left is not None and user.profile is not None,
        forgotten_at=(left or user).forgotten_at,
    )
    return Outgoing(FORGOTTEN, user.user_id.encode(), encode(confirmed))
