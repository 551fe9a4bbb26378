"""Which fault strikes when: drawn from a seed, so that a run can be repeated."""

import random
from collections.abc import Sequence

from msgspec import Struct

from deploy.local.servers import NAMES as SERVERS

MOST_SECONDS_BETWEEN = 6.0
MOST_SECONDS_DOWN = 8.0


class Fault(Struct, frozen=True):
    """One fault.

    kind     for the report
    victims  workers and servers, by name
    stops    they stand still (SIGSTOP) and go on (SIGCONT); if not, they are killed (SIGKILL) and started again
    after    seconds of peace before it
    lasts    seconds until they are told to go on, or are started again
    """

    kind: str
    victims: tuple[str, ...]
    stops: bool
    after: float
    lasts: float


def draw(seed: int, count: int, workers: Sequence[str], *, stop_seconds: float) -> list[Fault]:
    """As many faults as wanted; each kind comes equally often, in random order and to random victims.

    >>> [fault.kind for fault in draw(1, 3, ["worker-1", "worker-2"], stop_seconds=20)]
    ['worker and server killed', 'triton killed', 'cassandra killed']
    """
    chance = random.Random(seed)  # noqa: S311 (no secret)
    faults: list[Fault] = []
    while len(faults) < count:
        kinds = ["worker killed", "worker stopped", "all workers killed", "worker and server killed"]
        kinds += [f"{server} killed" for server in SERVERS]
        chance.shuffle(kinds)
        faults += [_fault(kind, chance, workers, stop_seconds) for kind in kinds]
    return faults[:count]


def _fault(kind: str, chance: random.Random, workers: Sequence[str], stop_seconds: float) -> Fault:
    worker = chance.choice(workers)
    match kind:
        case "worker killed" | "worker stopped":
            victims: tuple[str, ...] = (worker,)
        case "all workers killed":
            victims = tuple(workers)
        case "worker and server killed":
            victims = (worker, chance.choice(SERVERS))
        case _:
            victims = (kind.removesuffix(" killed"),)
    stops = kind == "worker stopped"
    after, down = chance.uniform(0, MOST_SECONDS_BETWEEN), chance.uniform(0, MOST_SECONDS_DOWN)
    return Fault(kind, victims, stops, after, stop_seconds if stops else down)
