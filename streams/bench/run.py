"""Every variant in turn, round after round; latency at rates that double while the worker keeps up; the ceilings."""

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle, islice
from pathlib import Path
from typing import IO

import msgspec
import psutil
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streams.bench import ceilings, latency, servers, steadiness
from streams.bench.plots import draw
from streams.bench.report import (
    Result,
    Round,
    beside_libraries,
    event_to_list,
    is_busy,
    keeps_up,
    latency_line,
    page,
    scaling_line,
    variants,
)
from streams.bench.variants import OTHERS, VARIANTS, Handled, Measured
from streams.datasets.movielens import movielens
from streams.errors import AnabranchError
from streams.evaluate.plots import png
from streams.events import Click, View
from streams.reports import environment, table, write_into
from streams.settings import Settings

PATIENCE = 60.0  # seconds without a word from a variant
FIRST_RATE = 100.0  # events a second
LOAD_SECONDS = 10.0
LOAD_WARM_UP = 2.0
ECHO = ("streams.bench.echo",)

_Lines = queue.Queue[bytes | None]
_messages = msgspec.json.Decoder(Handled | Measured)


def run(settings: Settings, console: Console, *, events: int, rounds: int, report: Path | None) -> Result:
    """Measure on servers of its own below `<home>/bench`, which end with it; `bench.json` is left there.

    settings  of the usual home: its downloads are shared, its servers left alone
    events    in the backlog
    rounds    of all variants
    report    a Markdown page to put the result into; a picture and all figures as JSON go beside it

    Raises AnabranchError when a variant fails.
    """
    home = settings.home.resolve() / "bench"
    result = Result(environment(), events, [])
    if is_busy(result.environment):
        console.print(
            f"[yellow]the machine is busy (load average {result.environment.load_average} on"
            f" {result.environment.cores} cores): ratios will say more than rates"
        )
    with console.status("looking how steady this machine is by itself"):
        result.steadiness = steadiness.measure()
    with servers.running(home, settings.downloads_folder.resolve(), console) as own:
        dataset = movielens(own.downloads_folder)
        servers.load_items(own, console, dataset.uploads)
        with console.status(f"sending {events:,} events"):
            servers.send_backlog(own, islice(dataset.activity, events))
        # Two Java machines that have just started compile for as long as a variant runs, on the same cores.
        _measure(own, console, "full", events, "warming the servers up", "warm_up")
        for number in range(1, rounds + 1):
            for variant in VARIANTS:
                name = re.sub(r"\W+", "_", f"{variant}_{number}".lower())  # a keyspace and a group are called so
                measured = _measure(own, console, variant, events, f"round {number}: {variant}", name)
                result.rounds.append(Round(variant, number, measured))
        live = _renamed(islice(cycle(dataset.activity), events, None), "live")
        as_it_was_left = servers.continue_at_the_end(own, "bench_live", f"bench_full_{rounds}")
        result.latencies = _latencies(own, console, live, (FIRST_RATE * 2**n for n in count()), as_it_was_left)
        kept_up_with = [each.events_per_second for each in result.latencies if keeps_up(each)]
        of_nobody = servers.continue_at_the_end(own, "bench_echo", "bench_echo")
        result.echoes = _latencies(own, console, live, kept_up_with, of_nobody, ECHO)
        result.ceilings = ceilings.measure(own, console, ceilings.Sizes())
    figures = msgspec.json.format(msgspec.json.encode(result))
    (home / "bench.json").write_bytes(figures)
    console.print(table(variants(result)))
    console.print(table(event_to_list(result)))
    console.print(latency_line(result), scaling_line(result), highlight=False)
    console.print(table(beside_libraries(result.ceilings)))
    console.print(f"written: {home / 'bench.json'}", highlight=False)
    if report:
        write_into(report, "bench", page(result))
        report.with_suffix(".json").write_bytes(figures)
        report.with_suffix(".png").write_bytes(png(draw(result)))
        console.print(f"written: {report}, and .json and .png beside it", highlight=False)
    return result


def _measure(settings: Settings, console: Console, variant: str, events: int, title: str, name: str) -> Measured:
    """Run one variant in a process of its own. Raises AnabranchError when it ends early or stands still."""
    home = servers.at_home(settings)
    log = settings.home / "logs" / f"{name}.log"
    command = [sys.executable, "-m", "streams.bench.variants", variant, str(events)]
    with _progress(console) as progress, log.open("wb") as errors:
        task = progress.add_task(title, total=events)
        prepared = servers.prepare(settings, name, forget=variant != OTHERS)
        with _process(command, home | prepared, errors) as lines:
            while True:
                try:
                    line = lines.get(timeout=PATIENCE)
                except queue.Empty:
                    raise AnabranchError(f"variant {variant!r} said nothing for {PATIENCE:.0f} s; see {log}") from None
                if line is None:
                    raise AnabranchError(f"variant {variant!r} ended early; {log} ends:\n{log.read_text()[-2_000:]}")
                message = _messages.decode(line)
                if isinstance(message, Measured):
                    progress.update(task, completed=events)
                    return message
                progress.update(task, completed=message.events)


@contextmanager
def _process(
    command: Sequence[str], variables: dict[str, str], errors: IO[bytes]
) -> Iterator["queue.Queue[bytes | None]"]:
    """A process and the lines it prints, None after the last; killed at the end if it runs on."""
    process = subprocess.Popen(
        command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
    )
    lines: _Lines = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    try:
        yield lines
        process.wait(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()


def _latencies(
    settings: Settings,
    console: Console,
    events: Iterator[Click | View],
    rates: Iterable[float],
    environment: dict[str, str],
    command: Sequence[str] = servers.WORKER,
) -> list[latency.Latency]:
    """Send events to a worker, or what answers in its place, at one rate after the other until it falls behind."""
    found: list[latency.Latency] = []
    with servers.worker(settings, environment, command) as pid:
        watched = psutil.Process(pid)
        # What its start costs is not that of an event.
        uvloop.run(latency.measure(settings.kafka, [next(events)], events_per_second=1.0, warm_up=0.0))
        for rate in rates:
            some = list(islice(events, int(rate * (LOAD_SECONDS + LOAD_WARM_UP))))
            with _progress(console) as progress:
                task = progress.add_task(f"{command[-1]} at {rate:,.0f} events/s", total=len(some))
                before = sum(watched.cpu_times()[:2])
                measured = latency.measure(
                    settings.kafka,
                    some,
                    events_per_second=rate,
                    warm_up=LOAD_WARM_UP,
                    on_answer=lambda answered, to=progress, of=task: to.update(of, completed=answered),  # type: ignore[misc]
                )
                found.append(uvloop.run(measured))
                found[-1].cpu = (sum(watched.cpu_times()[:2]) - before) / len(some)
            if not keeps_up(found[-1]):
                break
    return found


def _renamed(events: Iterable[Click | View], name: str) -> Iterator[Click | View]:
    """The same with ids that nothing else has."""
    return (msgspec.structs.replace(each, event_id=f"{name}-{number}") for number, each in enumerate(events))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:30}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
