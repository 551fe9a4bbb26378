"""Worlds whose right answer anyone can see."""

import json
from collections.abc import Iterable, Iterator

import numpy as np

from encoders.contract import DIM
from encoders.training.deep.log import Log
from streams.events import Click, Upload, encode

GROUPS = 2


def two_tastes(users: int = 60, items: int = 40, clicks: int = 16, seed: int = 0) -> Log:
    """Even users click even items and odd users odd ones, in any order; half of the clicks come before half-time."""
    generator = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        mine = generator.permutation(np.arange(user % GROUPS, items, GROUPS))[:clicks]
        rows += [(float(at), user, int(item)) for at, item in zip(generator.random(clicks) * 1000, mine, strict=True)]
    rows.sort()
    return Log(
        item_ids=[f"item-{number}" for number in range(items)],
        texts=[f"{'even' if number % GROUPS == 0 else 'odd'} thing number {number}" for number in range(items)],
        listed_at=np.zeros(items),
        traits=[b""] * users,
        users=np.array([user for _, user, _ in rows]),
        items=np.array([item for _, _, item in rows]),
        at=np.array([at for at, _, _ in rows]),
        clicked=np.ones(len(rows), np.bool_),
    )


def events(log: Log, since: float) -> Iterator[Upload | Click]:
    """A world as it would come through Kafka, its catalogue first."""
    for number, item_id in enumerate(log.item_ids):
        yield Upload(event_id=f"u-{number}", ts=since + 1.0, item_id=item_id, title=log.texts[number])
    for number, (user, item, at) in enumerate(zip(log.users, log.items, log.at.tolist(), strict=True)):
        yield Click(event_id=f"c-{number}", ts=since + at + 2.0, user_id=f"user-{user}", item_id=log.item_ids[item])


def lines(told: Iterable[Upload | Click]) -> str:
    """Events as a log of JSON lines."""
    return "\n".join(
        json.dumps(
            {"topic": "events.upload" if isinstance(each, Upload) else "events.click"} | json.loads(encode(each))
        )
        for each in told
    )


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """(count, DIM) that tell even from odd, and nothing else."""
    noise = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    noise[np.arange(count), np.arange(count) % GROUPS] += 12
    return noise / np.linalg.norm(noise, axis=1, keepdims=True)


def nobody(log: Log) -> np.ndarray:
    """Profiles of users who say nothing."""
    return np.zeros((len(log.traits), DIM), np.float32)
