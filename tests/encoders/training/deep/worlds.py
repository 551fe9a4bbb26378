"""Worlds whose right answer anyone can see."""

import numpy as np

from encoders.contract import DIM
from encoders.training.deep.log import Log

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
        images=[None] * items,
        listed_at=np.zeros(items),
        traits=[b""] * users,
        users=np.array([user for _, user, _ in rows]),
        items=np.array([item for _, _, item in rows]),
        at=np.array([at for at, _, _ in rows]),
        clicked=np.ones(len(rows), np.bool_),
    )


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """(count, DIM) that tell even from odd, and nothing else."""
    noise = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    noise[np.arange(count), np.arange(count) % GROUPS] += 12
    return noise / np.linalg.norm(noise, axis=1, keepdims=True)


def nobody(log: Log) -> np.ndarray:
    """Profiles of users who say nothing."""
    return np.zeros((len(log.traits), DIM), np.float32)
