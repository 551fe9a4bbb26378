"""What a flood of clicks does to everybody's lists, with and without a defence: `anabranch evaluate-attack`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct
from rich.console import Console

from streams.core.evaluation import K
from streams.core.recommender import Recommender, RecommenderSettings
from streams.datasets.movielens import movielens
from streams.evaluate import log as logs
from streams.evaluate.log import Log
from streams.evaluate.offline import InProcess
from streams.progress import bars
from streams.reports import Sheet

SEED = 7
TARGETS = 5
VICTIMS = 200  # users whose lists are looked at
FLOOD = 300  # clicks, by one account within ten minutes
RING = 50  # accounts, of which each clicks some popular items and then the target
COVER = 3  # popular items each clicks before

DEFENCES: Mapping[str, RecommenderSettings] = {
    "none": RecommenderSettings(repeats_counted=0),
    "repeats_counted=1": RecommenderSettings(),
    "touches_a_minute=30": RecommenderSettings(repeats_counted=0, touches_a_minute=30),
    "newcomers_wait=5": RecommenderSettings(repeats_counted=0, newcomers_wait=5),
    "all three": RecommenderSettings(touches_a_minute=30, newcomers_wait=5),
}


class Outcome(Struct, frozen=True):
    """Under one defence.

    before       share of lists with a target in the first 10 places, before any attack
    flood, ring  the same after each attack, the mean over targets
    recall       Recall@10 of the last half of the clicks, without any attack
    """

    name: str
    before: float
    flood: float
    ring: float
    recall: float


def run(downloads: Path, console: Console, *, clicks: int) -> list[Outcome]:
    """Attack the recommender after the first clicks of MovieLens-100k, under each of DEFENCES."""
    log = logs.of_dataset(movielens(downloads), clicks=clicks)
    with bars(console) as bar:
        task = bar.add_task("defences", total=len(DEFENCES))
        outcomes = []
        for name, settings in DEFENCES.items():
            outcomes.append(measure(log, name, settings))
            bar.advance(task)
    return outcomes


def measure(log: Log, name: str, settings: RecommenderSettings, *, targets: int = TARGETS) -> Outcome:
    """Learn the log, then attack for a few items that hardly anybody has clicked; each attack on its own."""
    generator = np.random.default_rng(SEED)
    counts = {item: 0 for item in log.items}
    for click in log.clicks:
        counts[click.item_id] += 1
    unpopular = sorted((item for item, count in counts.items() if count <= 2), key=lambda item: (counts[item], item))
    popular = sorted(counts, key=lambda item: -counts[item])[:20]
    chosen = [unpopular[each] for each in generator.permutation(len(unpopular))[:targets]]
    recall, system = _learned(log, settings)
    victims = list(dict.fromkeys(click.user_id for click in reversed(log.clicks)))[:VICTIMS]
    at = log.clicks[-1].ts + 600
    unharmed = system.recommender.snapshot()
    before = float(np.mean([_seen(system, victims, target, at) for target in chosen]))
    seen: dict[str, list[float]] = {"flood": [], "ring": []}
    for target in chosen:
        for attack, clicks in (("flood", _flood(target)), ("ring", _ring(target, popular))):
            system.recommender = Recommender.restore(unharmed, settings)
            for account, item, seconds in clicks:
                user, now = f"{attack} {target} {account}", log.clicks[-1].ts + seconds
                system.recommend(user, now, K)  # nothing is learned from a list that nobody had
                system.learn(user, item, now)
            seen[attack].append(_seen(system, victims, target, at))
    return Outcome(name, before, float(np.mean(seen["flood"])), float(np.mean(seen["ring"])), recall)


def sheet(outcomes: Sequence[Outcome]) -> Sheet:
    """As a table."""
    headings = ("defence", "before", "after a flood", "after a ring", "Recall")
    rows = [
        [each.name, f"{each.before:.1%}", f"{each.flood:.1%}", f"{each.ring:.1%}", f"{each.recall:.4f}"]
        for each in outcomes
    ]
    return Sheet(f"Lists with the pushed item in the first {K} places; Recall@{K} without attacks", headings, rows)


def _learned(log: Log, settings: RecommenderSettings) -> tuple[float, InProcess]:
    """(Recall of the last half, the system after the log)."""
    system = InProcess(log.items, log.clicks[0].ts, settings)
    hits: list[bool] = []
    for number, click in enumerate(log.clicks):
        listed = system.recommend(click.user_id, click.ts, K)
        if 2 * number >= len(log.clicks):
            hits.append(click.item_id in listed)
        system.learn(click.user_id, click.item_id, click.ts)
    return float(np.mean(hits)), system


def _flood(target: str) -> Iterator[tuple[str, str, float]]:
    """(account, item, seconds) of one account that clicks one item again and again."""
    return (("flooder", target, 2.0 * step) for step in range(FLOOD))


def _ring(target: str, popular: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Accounts that look like people: popular items first, then the target, so that it goes with these."""
    generator = np.random.default_rng(SEED)
    for account in range(RING):
        start = 10.0 * account
        for step, each in enumerate(generator.permutation(len(popular))[:COVER]):
            yield f"ring {account}", popular[each], start + step
        yield f"ring {account}", target, start + COVER


def _seen(system: InProcess, victims: Sequence[str], target: str, at: float) -> float:
    return float(np.mean([target in system.recommend(victim, at, K) for victim in victims]))
