"""What business rules cost a list: `anabranch rules cost`."""

import time
from pathlib import Path

import numpy as np
from msgspec import Struct
from rich.console import Console

from streams.core.recommender import Recommender, RecommenderSettings, UserView
from streams.core.rules import Rule, RuleBook
from streams.datasets.movielens import movielens
from streams.evaluate.offline import InProcess
from streams.events import Click, encode
from streams.progress import bars
from streams.reports import Sheet
from streams.rules import read

CLICKS = 5_000
USERS = 200
ROUNDS = 5  # of which the fastest counts
LENGTH = 20


class Costs(Struct, frozen=True):
    """Microseconds of one core for a list, the mean over users.

    ruled  under these rules
    uses   rule -> share of the lists that it had a say in
    """

    rules: int
    plain: float
    ruled: float
    uses: dict[str, float]


def run(downloads: Path, console: Console, file: Path) -> Costs:
    """Make lists of MovieLens-100k's people without and with the rules of a file. Raises RulesError."""
    rules = read(file)
    dataset = movielens(downloads)
    clicks = [each for each in dataset.activity if isinstance(each, Click)][:CLICKS]
    system = InProcess([], clicks[0].ts, RecommenderSettings())
    for film in dataset.uploads:
        system.recommender.put_item(film.item_id, None, clicks[0].ts, film.attributes)
    with bars(console) as bar:
        task = bar.add_task("clicks learned", total=len(clicks))
        for each in clicks:
            system.recommend(each.user_id, each.ts, LENGTH)
            system.learn(each.user_id, each.item_id, each.ts)
            bar.advance(task)
    views = [system.view(user_id) for user_id in list(dict.fromkeys(each.user_id for each in clicks))[:USERS]]
    for view in views:
        if view.user_id in dataset.profiles:
            view.traits = encode(dataset.profiles[view.user_id].traits)
    return measure(system.recommender, views, rules, clicks[-1].ts)


def measure(recommender: Recommender, views: list[UserView], rules: list[Rule], at: float) -> Costs:
    """Without and with the rules, at this time."""
    plain = _microseconds(recommender, views, at)
    recommender.rules = book = RuleBook(rules, recommender.catalogue)
    ruled = _microseconds(recommender, views, at)
    recommender.rules = None
    uses = {rule.name: book.uses[rule.name] / (ROUNDS * len(views)) for rule in rules}
    return Costs(len(rules), plain, ruled, uses)


def sheet(costs: Costs) -> Sheet:
    """As a table."""
    rows = [
        ["without rules", f"{costs.plain:.0f}", ""],
        [f"with {costs.rules} rules", f"{costs.ruled:.0f}", ""],
        *([name, "", f"{share:.0%}"] for name, share in costs.uses.items()),
    ]
    return Sheet(f"Microseconds of one core for a list of {LENGTH}", ("", "µs", "has a say in"), rows)


def _microseconds(recommender: Recommender, views: list[UserView], at: float) -> float:
    spent = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        for view in views:
            recommender.recommend(view, at, LENGTH)
        spent.append((time.thread_time() - started) / len(views))
    return 1e6 * float(np.min(spent))
