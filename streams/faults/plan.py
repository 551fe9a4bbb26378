"""Which fault strikes when: drawn from a seed, so that a run can be repeated."""

import random
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from deploy.local.servers import NAMES as SERVERS

MOST_SECONDS_BETWEEN = 6.0
MOST_SECONDS_DOWN = 8.0


class How(StrEnum):
    """What happens to the victims, and what ends it.

    killed   SIGKILL; they are started again
    stopped  SIGSTOP: they stand still, and neither answer nor refuse; SIGCONT
    leaves   SIGTERM: they finish what they have in hand; they are started again
    """

    killed = "killed"
    stopped = "stopped"
    leaves = "leaves"


KINDS = (
    "worker killed",
    "worker stopped",
    "worker leaves",
    "all workers killed",
    "worker and server killed",
    *(f"{server} {how}" for server in SERVERS for how in (How.killed, How.stopped)),
)


class Fault(Struct, frozen=True):
    """One fault.

    kind     one of `KINDS`
    victims  workers and servers, by name
    after    seconds of peace before it
    lasts    seconds until they are told to go on, or are started again
    """

    kind: str
    victims: tuple[str, ...]
    how: How
    after: float
    lasts: float


def draw(
    seed: int, count: int, workers: Sequence[str], *, stop_seconds: float, kinds: Sequence[str] = KINDS
) -> list[Fault]:
    """As many faults as wanted; each kind comes equally often, in random order and to random victims.

    >>> [fault.kind for fault in draw(1, 3, ["worker-1", "worker-2"], stop_seconds=20)]
    ['triton killed', 'cassandra stopped', 'worker killed']
    """
    chance = random.Random(seed)  # noqa: S311 (no secret)
    faults: list[Fault] = []
    while len(faults) < count:
        faults += [_fault(kind, chance, workers, stop_seconds) for kind in sorted(kinds, key=lambda _: chance.random())]
    return faults[:count]


def _fault(kind: str, chance: random.Random, workers: Sequence[str], stop_seconds: float) -> Fault:
    worker = chance.choice(workers)
    who, _, how = kind.rpartition(" ")
    match who:
        case "worker":
            victims: tuple[str, ...] = (worker,)
        case "all workers":
            victims = tuple(workers)
        case "worker and server":
            victims = (worker, chance.choice(SERVERS))
        case _:
            victims = (who,)
    after, down = chance.uniform(0, MOST_SECONDS_BETWEEN), chance.uniform(0, MOST_SECONDS_DOWN)
    return Fault(kind, victims, How(how), after, stop_seconds if how == How.stopped else down)
