"""`anabranch experiments`: check a plan, report on it from the outcomes that workers publish, simulate."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from streams.core.experiments import analysis, simulation
from streams.core.experiments.analysis import ArmReport, Difference, ExperimentReport
from streams.core.experiments.assignment import INTERLEAVED, Assigner
from streams.core.experiments.plan import HOLDOUT, Plan, ranges
from streams.core.experiments.simulation import Run, World
from streams.core.experiments.tally import Tally
from streams.errors import AnabranchError, Rejected
from streams.event_log import EventLog
from streams.events import Outcome, read_outcome
from streams.replica import left_out
from streams.reports import write_into
from streams.settings import Kafka

TOPIC = "experiments"


class UnreadableOutcomes(AnabranchError):
    """A line of a file is no outcome; the message names the file, the line and the reason."""


def shares(plan: Plan, user_id: str | None = None) -> Table:
    """Who gets what: of all users, so many per cent; and the arms of one user."""
    table = Table(title="plan of experiments", caption=f"held out: {plan.holdout:.0%}" if plan.holdout else None)
    for heading in ("layer", "experiment", "arm", "users", "settings", *(["user"] if user_id else [])):
        table.add_column(heading)
    theirs = Assigner(plan).assign(user_id).variants if user_id else {}
    for layer, experiments in plan.layers.items():
        for name, start, end in ranges(experiments):
            each = experiments[name]
            among = (end - start) * (1 - plan.holdout)
            for arm, part in each.parts().items():
                share = among if each.kind == "interleaving" else among * part
                what = ", ".join(f"{key}={value}" for key, value in each.arms[arm].items()) or "as everywhere"
                users = "stopped" if each.stopped else f"{share:.1%}"
                mine = [user_id if theirs.get(name) in (arm, INTERLEAVED) else ""] if user_id else []
                table.add_row(layer, name, arm, users, what, *mine)
    if user_id and theirs.get(HOLDOUT) == "out":
        table.caption = f"{user_id} is held out of everything"
    return table


def report(plan: Plan, outcomes: Iterable[Outcome]) -> list[ExperimentReport]:
    """What these outcomes say."""
    tally = Tally(plan)
    for each in outcomes:
        tally.add(each)
    return analysis.report(plan, tally)


def published(kafka: Kafka) -> Iterator[Outcome]:
    """All outcomes that Kafka still has; what cannot be read is left out. Raises AnabranchError."""
    with EventLog(kafka) as log:
        for message in log.read(log.starts([TOPIC]), log.ends([TOPIC])):
            try:
                yield read_outcome(message.value)
            except Rejected as refusal:
                left_out(TOPIC, message.offset, refusal)


def recorded(path: Path) -> Iterator[Outcome]:
    """The outcomes in a file of JSON lines. Raises UnreadableOutcomes."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield read_outcome(line)
            except Rejected as refusal:
                raise UnreadableOutcomes(f"{path}, line {number}: {refusal}") from refusal


def as_json(reports: list[ExperimentReport]) -> str:
    """As over HTTP: an interval that nothing is known of has no ends."""
    return msgspec.json.format(msgspec.json.encode(reports), indent=2).decode()


def tables(reports: Iterable[ExperimentReport]) -> Iterator[Table]:
    """For a terminal, one table an experiment."""
    for each in reports:
        title = f"{each.name}, {each.kind}" + (", stopped" if each.stopped else "")
        table = Table(title=title, caption="\n".join(f"[red]{alarm}[/]" for alarm in each.alarms) or None)
        for heading in ("arm", "users", "lists", "clicked of them", "difference", "from", "to", "p", ""):
            table.add_column(heading)
        for arm in each.arms:
            table.add_row(*_row(arm))
        yield table


def _row(arm: ArmReport) -> Iterator[str]:
    yield from (arm.name, f"{arm.users:,}", f"{arm.lists:,}", f"{arm.click_through:.2%}")
    yield from _told(arm.against)
    colour = {"better": "[green]", "worse": "[red]"}.get(arm.verdict, "")
    yield f"{colour}{arm.verdict}"


def _told(difference: Difference | None) -> tuple[str, str, str, str]:
    if difference is None:
        return "", "", "", ""
    if difference.low is None or difference.high is None:
        return "too few users", "", "", ""
    estimate, low, high = (f"{value:+.1%}" for value in (difference.estimate, difference.low, difference.high))
    return estimate, low, high, f"{difference.p:.2g}"


class Simulated(Struct, frozen=True):
    """A world, and the experiments that were run in it."""

    world: World
    runs: list[Run]


WORLDS: Mapping[str, tuple[World, float]] = {
    "no difference": (World(), 1.0),
    "no difference, users who differ more": (World(spread=1.0), 1.0),
    "no difference, rare clicks": (World(rate=0.03, users=5_000, lists=50_000), 0.2),
    "10% better": (World(lift=0.1, users=10_000, lists=100_000), 0.2),
    "10% better, nothing known of before": (World(lift=0.1, users=10_000, lists=100_000, before=0), 0.2),
    "20% better": (World(lift=0.2), 0.2),
    "10% worse": (World(lift=-0.1, users=10_000, lists=100_000), 0.2),
}
"""Name -> what is simulated, and which part of the runs is enough."""


def simulate(runs: int, on_run: Callable[[], None] = lambda: None) -> dict[str, Simulated]:
    """Run experiments in every one of `WORLDS`."""
    simulated = {}
    for name, (world, part) in WORLDS.items():
        made = []
        for seed in range(max(1, round(runs * part))):
            made.append(simulation.run(world, seed=seed))
            on_run()
        simulated[name] = Simulated(world, made)
    return simulated


def markdown(simulated: Mapping[str, Simulated]) -> str:
    """For the docs."""
    lines = [
        "| world | users | lists | experiments | difference found | after, of the lists | truth in the interval |"
        " z-test over lists, peeking |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, each in simulated.items():
        looks, world = [run.found for run in each.runs if run.found], each.world
        after = f"{median(looks) / world.looks:.0%}" if len(looks) > len(each.runs) / 2 else ""
        found, covered, peeked = (
            sum(column) / len(each.runs)
            for column in zip(*((run.found > 0, run.covered, run.peeked) for run in each.runs), strict=True)
        )
        lines.append(
            f"| {name} | {world.users:,} | {world.lists:,} | {len(each.runs):,} | {found:.1%} | {after} | {covered:.1%}"
            f" | {peeked:.1%} |"
        )
    return "\n".join(lines) + "\n"


def run_simulation(console: Console, *, runs: int, page: Path | None) -> None:
    """Simulate, print the table, and put it into a page."""
    total = sum(max(1, round(runs * part)) for _, part in WORLDS.values())
    with console.status("") as status:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            status.update(f"{done:,} of {total:,} experiments")

        text = markdown(simulate(runs, count))
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    if page:
        write_into(page, "simulated", text)
