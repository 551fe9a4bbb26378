"""Faults, one after another, while events flow; in the end every event must have counted once."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence
from statistics import fmean

from rich.console import Console

from deploy.local import servers as local_servers
from deploy.local.worker import running_workers
from streams.bench.servers import load_items, running
from streams.datasets.movielens import movielens
from streams.errors import AnabranchError
from streams.event_log import EventLog
from streams.events import Event
from streams.faults.answers import Answers
from streams.faults.fleet import Fleet
from streams.faults.load import Load, activity
from streams.faults.plan import KINDS, Fault, draw
from streams.faults.report import Outcome, Recovery
from streams.progress import bars
from streams.replay import ListWatcher
from streams.reports import environment
from streams.settings import Settings
from streams.verify import UPLOADS, USER_TOPICS, verify

EVENTS = (*USER_TOPICS, *UPLOADS)

STOP_SECONDS = 20.0  # more than twice a session: a worker that stands still for so long loses its partitions
CAUGHT_UP = 2.0  # seconds that the oldest unanswered event may have waited
PATIENCE = 1_200.0  # for the recovery from a fault: there are machines that stand still now and then
FIRST_GUESS = 20.0  # seconds that a fault takes, before one has been seen
SPREAD = 0.9  # of the events are spread over the faults; the rest are left for slow recoveries, and for the end
LAST_EVENTS_PER_SECOND = 1_000.0
TICK = 0.02
LATE_FILMS = 0.1  # share of the catalogue that is uploaded while events of it flow already


def run(
    settings: Settings,
    console: Console,
    *,
    events: int,
    faults: int,
    workers: int,
    seed: int | None = None,
    films: int | None = None,
    stop_seconds: float = STOP_SECONDS,
    kinds: Sequence[str] = KINDS,
) -> Outcome:
    """Strike on servers of its own below `<home>/faults`, which end with it.

    settings  of the usual home: its downloads are shared, its servers left alone
    seed      draws the faults; random if None
    films     of the catalogue, all if None
    kinds     of the faults

    Raises AnabranchError when a worker does not end when told to.
    """
    seed = random.randrange(10_000) if seed is None else seed  # noqa: S311 (no secret)
    here = environment()
    console.print(f"seed {seed}: {faults} faults, {events:,} events, {workers} workers")
    with running(settings.home.resolve() / "faults", settings.downloads_folder.resolve(), console) as own:
        dataset = movielens(own.downloads_folder)
        catalogue = dataset.uploads[:films]
        early = math.ceil(len(catalogue) * (1 - LATE_FILMS))
        load_items(own, console, catalogue[:early])
        flow = activity(dataset, events, catalogue[early:])
        with running_workers(own, workers) as fleet_workers:
            plan = draw(seed, faults, [worker.name for worker in fleet_workers], stop_seconds=stop_seconds, kinds=kinds)
            fleet = Fleet(fleet_workers, local_servers.servers(own))
            recoveries, unanswered = _strike_while_events_flow(own, console, fleet, plan, flow)
            fleet.drain()
        report = asyncio.run(verify(own, console))
        return Outcome(seed, workers, len(flow), here, recoveries, fleet.ended, unanswered, report)


def _strike_while_events_flow(
    settings: Settings, console: Console, fleet: Fleet, plan: Sequence[Fault], events: Sequence[Event]
) -> tuple[list[Recovery], list[str]]:
    """The recovery from each fault, and the events that got no list."""
    answers = Answers()
    recoveries: list[Recovery] = []
    with (
        ListWatcher(settings.kafka, on_list=answers.answered) as watcher,
        Load(settings.kafka, events, before=answers.sent) as load,
        bars(console) as progress,
    ):
        sent = progress.add_task("events sent", total=load.left)
        struck = progress.add_task("faults struck and mended", total=len(plan))

        def until(reached: Callable[[], bool], patience: float) -> bool:
            deadline = time.monotonic() + patience
            while not reached():
                if time.monotonic() > deadline:
                    return False
                fleet.tend()
                load.is_done()
                progress.update(sent, completed=load.sent)
                time.sleep(TICK)
            return True

        if not until(lambda: answers.has_answered_since(0.0), PATIENCE):
            raise AnabranchError(f"no list came in {PATIENCE:.0f} s, before any fault")
        for number, fault in enumerate(plan):
            spent = fmean([each.seconds for each in recoveries] or [FIRST_GUESS])
            load.spread(int(SPREAD * load.left / (len(plan) - number)), spent)
            recoveries.append(_strike(fleet, fault, answers, until))
            progress.console.print(f"{number + 1:3} of {len(plan)}: {recoveries[-1]}", highlight=False)
            progress.advance(struck)
        seconds = 1 + load.left / LAST_EVENTS_PER_SECOND
        load.spread(load.left, seconds)
        until(load.is_done, PATIENCE + 2 * seconds)
        until(lambda: answers.delay() == 0, PATIENCE)
        until(fleet.is_ready, PATIENCE)
        with EventLog(settings.kafka) as kafka:  # workers that were killed last have events again that had lists before
            until(lambda: _is_committed(kafka), PATIENCE)
        watcher.wait(0)  # raises what kept it from reading
    return recoveries, answers.waiting()


def _is_committed(kafka: EventLog) -> bool:
    """Whether workers have nothing left to handle."""
    committed = kafka.committed(EVENTS)
    return all(committed[partition] >= end for partition, end in kafka.ends(EVENTS).items())


def _strike(
    fleet: Fleet, fault: Fault, answers: Answers, until: Callable[[Callable[[], bool], float], bool]
) -> Recovery:
    """Strike, mend, and see how long it takes until events are answered again as if nothing had been."""
    begin = time.monotonic()
    until(lambda: time.monotonic() > begin + fault.after, PATIENCE)
    struck = time.monotonic()
    answers.begin()
    fleet.strike(fault)
    next_list: float | None = None

    def has_passed(moment: float) -> bool:
        nonlocal next_list
        if next_list is None and answers.has_answered_since(struck):
            next_list = time.monotonic() - struck
        return time.monotonic() > moment

    until(lambda: has_passed(struck + fault.lasts), PATIENCE)
    fleet.mend(fault)
    # What was sent just after the mending must have had its time to be late.
    settled = time.monotonic() + CAUGHT_UP
    over = until(lambda: has_passed(settled) and next_list is not None and answers.delay() < CAUGHT_UP, PATIENCE)
    now = time.monotonic()
    caught_up = now - struck if over else None
    return Recovery(fault.kind, len(fault.victims), next_list, caught_up, answers.longest(), now - begin)
