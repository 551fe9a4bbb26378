"""What the faults did: recovery times for each kind, and whether every event counted once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from msgspec import Struct

from streams import verify
from streams.reports import Environment, Sheet, machine, markdown


class Recovery(Struct):
    """From one fault. Seconds from the strike; None: not within the patience of the run.

    victims       processes that were killed or stopped
    next_list     until the first event sent after the strike had its list
    caught_up     until no event had waited for longer than 2 s
    longest_wait  of an event for its list, until then
    seconds       in all, the peace before it included
    """

    kind: str
    victims: int
    next_list: float | None
    caught_up: float | None
    longest_wait: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.kind}: next list after {_seconds(self.next_list)}, caught up after {_seconds(self.caught_up)},"
            f" longest wait {_seconds(self.longest_wait)}"
        )


class Outcome(Struct):
    """One run.

    ended       who ended by itself, and was started again
    unanswered  events that no list has named
    verified    the store compared with a replay of the log
    """

    seed: int
    workers: int
    events: int
    environment: Environment
    recoveries: list[Recovery]
    ended: list[str]
    unanswered: list[str]
    verified: verify.Report

    @property
    def struck(self) -> str:
        """How much happened, in words."""
        victims = sum(each.victims for each in self.recoveries)
        return f"{len(self.recoveries)} faults, {victims} processes killed, stopped or told to leave"

    @property
    def is_clean(self) -> bool:
        """Whether all came through: nothing lost, nothing doubled, every fault got over."""
        return (
            self.verified.is_clean
            and not self.verified.in_motion
            and not self.unanswered
            and all(each.caught_up is not None for each in self.recoveries)
        )


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


HEADINGS = ("fault", "times", "next list, s", "caught up, s", "longest wait, s")


def _rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for kind in sorted({each.kind for each in outcome.recoveries}):
        ours = [each for each in outcome.recoveries if each.kind == kind]
        yield (
            kind,
            str(len(ours)),
            _spread([each.next_list for each in ours]),
            _spread([each.caught_up for each in ours]),
            _spread([each.longest_wait for each in ours]),
        )


def _spread(seconds: Sequence[float | None]) -> str:
    """Median and most.

    >>> _spread([1.0, 3.0, 2.04]), _spread([1.0, None])
    ('2.0 (3.0)', '1 of 2 never')
    """
    known = [each for each in seconds if each is not None]
    if len(known) < len(seconds):
        return f"{len(seconds) - len(known)} of {len(seconds)} never"
    return f"{median(known):.1f} ({max(known):.1f})"


def sheet(outcome: Outcome) -> Sheet:
    """How each kind of fault was recovered from."""
    return Sheet(f"{outcome.struck}; recovery: median (most)", HEADINGS, list(_rows(outcome)))


def verdict(outcome: Outcome) -> str:
    """What came of it, in a sentence or two."""
    checked = outcome.verified
    left_aside = f" {checked.in_motion:,} users had events on their way still." if checked.in_motion else ""
    return (
        f"Of {outcome.events:,} events {checked.lost:,} lost, {checked.doubled:,} doubled,"
        f" {len(outcome.unanswered):,} without a list; of {checked.users:,} users and {checked.items:,} items"
        f" {checked.users_off + len(checked.items_off):,} not as a replay of the log makes them.{left_aside}"
    )


def by_themselves(outcome: Outcome) -> str:
    """One sentence about who was not struck, and ended all the same."""
    times = ", ".join(f"{name} {count}" for name, count in sorted(Counter(outcome.ended).items()))
    return f"Ended by themselves, and started again: {times or 'none'}."


def page(outcome: Outcome) -> str:
    """A section of `docs/operations.md`."""
    return (
        f"Seed {outcome.seed}, {outcome.workers} workers: {outcome.struck}. {verdict(outcome)}\n"
        f"{by_themselves(outcome)}\n\n{markdown(sheet(outcome))}\n"
        f"Median (most). {machine(outcome.environment, 'servers, workers and load')}\n"
    )
