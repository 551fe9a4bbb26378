"""How steady a machine is by itself: the same short piece of work, again and again, with nothing beside it.

A virtual machine shares its processors with others, whom it does not see: for some tenths of a second it may be many
times slower. That shows in the longest latencies of whatever runs on it.
"""

import time
from statistics import median

import numpy as np
from msgspec import Struct

PIECE = 0.01  # seconds that a piece of work is to take: about as long as a batch keeps a worker
SECONDS = 10.0
TRIALS = 9


class Steadiness(Struct, frozen=True):
    """Seconds that a piece of work took: half of the pieces at most p50, 99 of 100 at most p99."""

    p50: float
    p99: float
    max: float


def measure(seconds: float = SECONDS, piece: float = PIECE) -> Steadiness:
    """Work for so long, in pieces that take about so long each."""
    steps = 1_000
    while (took := median(_work(steps) for _ in range(TRIALS))) < piece / 2:
        steps *= 2
    steps = max(1, round(steps * piece / took))
    end = time.perf_counter() + seconds
    pieces = [_work(steps)]
    while time.perf_counter() < end:
        pieces.append(_work(steps))
    p50, p99 = np.quantile(pieces, [0.5, 0.99]).tolist()
    return Steadiness(p50, p99, max(pieces))


def _work(steps: int) -> float:
    """Seconds that it took."""
    began = time.perf_counter()
    total = 0
    for number in range(steps):
        total += number * number
    return time.perf_counter() - began
