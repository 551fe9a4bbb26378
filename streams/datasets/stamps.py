"""Tux Paint's stamps, with pictures, sounds and speech, and simulated visitors whose preferences are stated.

The catalogue is real (GPL-2, from the Debian package `tuxpaint-stamps-default`); nobody recorded who liked what, so the
visitors are made up: each likes two kinds of thing, and a click is on one of those kinds four times out of five.
"""

from pathlib import Path

import numpy as np

from encoders.training import stamps as collection
from streams.datasets.dataset import Dataset
from streams.events import Click, Profile, Upload, View

OPENED = 1_700_000_000.0
FAITHFUL = 0.8  # share of a visitor's clicks that are on kinds they like
MIN_KIND = 8  # items that a kind must have to be liked


def stamps(downloads: Path, *, visitors: int = 120, clicks: int = 25, seed: int = 1) -> Dataset:
    """The stamps, and visitors who click on them one after the other.

    downloads  where the package is kept between runs
    """
    folder = collection.fetch(downloads.resolve())
    items = collection.read(folder)
    kinds: dict[str, list[str]] = {}
    for stamp in items:
        kinds.setdefault(kind(stamp.item_id), []).append(stamp.item_id)
    generator = np.random.default_rng(seed)
    likeable = sorted(name for name, members in kinds.items() if len(members) >= MIN_KIND)
    likes = {
        f"visitor-{n}": sorted(generator.choice(likeable, 2, replace=False).tolist()) for n in range(1, visitors + 1)
    }
    every = [stamp.item_id for stamp in items]
    activity: list[Click | View] = []
    for number in range(visitors * clicks):
        # Visitors come in groups of eight, so that their sessions overlap.
        group, place = divmod(number, 8 * clicks)
        user_id = f"visitor-{group * 8 + place % 8 + 1}"
        if user_id not in likes:
            continue
        faithful = generator.random() < FAITHFUL
        choices = kinds[str(generator.choice(likes[user_id]))] if faithful else every
        event = Click if faithful else View
        activity.append(
            event(
                event_id=f"stamps-{number}",
                ts=OPENED + 60.0 * number,
                user_id=user_id,
                item_id=str(generator.choice(choices)),
            )
        )
    return Dataset(
        name="Tux Paint's stamps, simulated visitors",
        uploads=[_upload(stamp) for stamp in items],
        profiles={
            user_id: Profile(event_id=f"stamps-{user_id}", ts=OPENED, user_id=user_id, traits={"simulated": True})
            for user_id in likes
        },
        activity=activity,
        captions={
            user_id: f"likes {' and '.join(each.rpartition('/')[2] for each in liked)}"
            for user_id, liked in likes.items()
        },
        liked={user_id: frozenset(item for each in liked for item in kinds[each]) for user_id, liked in likes.items()},
        pace=100.0,
        media_root=folder,
    )


def kind(item_id: str) -> str:
    """What sort of thing a stamp is: the first two folders of its path.

    >>> kind("animals/birds/parrot"), kind("town/phonebox")
    ('animals/birds', 'town')
    """
    return "/".join(item_id.split("/")[:-1][:2])


def _upload(stamp: collection.Stamp) -> Upload:
    files = {"image": stamp.image, "audio": stamp.audio, "speech": stamp.speech.get("en")}
    return Upload(
        event_id=f"stamps-{stamp.item_id}",
        ts=OPENED,
        item_id=stamp.item_id,
        title=stamp.texts["en"][:1000],
        text="\n".join(text for language, text in stamp.texts.items() if language != "en"),
        media={name: path.resolve().as_uri() for name, path in files.items() if path is not None},
    )
