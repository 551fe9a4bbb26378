"""What a data set is to the rest: a catalogue, people, and what they did."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from streams.events import Click, Profile, Upload, View

T = TypeVar("T", bound=Profile | Click | View)


def as_of_another(event: T, name: str) -> T:
    """The same event, of a person who is in no data set."""
    return replace(event, event_id=f"{name}-{event.event_id}", user_id=f"{name}-{event.user_id}")


class Dataset(Struct, frozen=True, kw_only=True):
    """A catalogue, its users, and what they did.

    activity    clicks and views in the order they happened
    captions    user -> who they are, in a few words
    liked       user -> the items they are known to like, where that is stated beforehand
    media_root  the folder that the uploads' `file:` URIs point into
    pace        events a second that are good to watch
    """

    name: str
    uploads: list[Upload]
    profiles: dict[str, Profile]
    activity: list[Click | View]
    captions: dict[str, str]
    liked: dict[str, frozenset[str]] = {}
    media_root: Path | None = None
    pace: float = 200.0

    def with_sign_ups(self) -> Iterator[Profile | Click | View]:
        """The activity, each user's profile just before their first event."""
        signed_up = set()
        for event in self.activity:
            if event.user_id not in signed_up:
                signed_up.add(event.user_id)
                profile = self.profiles[event.user_id]
                yield Profile(event_id=profile.event_id, ts=event.ts, user_id=event.user_id, traits=profile.traits)
            yield event
