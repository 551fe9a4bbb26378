"""Commands that measure the running system, on servers of its own: under load, under faults, for long."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.common import console
from streams.settings import load

app = typer.Typer()


@app.command()
def bench(
    events: Annotated[int, typer.Option(min=1_000, max=99_000, help="Recorded events in the backlog.")] = 30_000,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each variant is measured.")] = 2,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the result into.")] = None,
) -> None:
    """Measure a worker beside an empty Faust agent, and its parts beside the bare libraries, on servers of its own."""
    from streams.bench.run import run

    run(load(), console, events=events, rounds=rounds, report=report)


@app.command()
def faults(
    events: Annotated[int, typer.Option(min=1_000, help="Events that flow meanwhile.")] = 200_000,
    count: Annotated[int, typer.Option(min=1, help="Faults; of eleven, one strikes all workers.")] = 50,
    workers: Annotated[int, typer.Option(min=2, help="Workers.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Of an earlier run, to strike as it did.")] = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the result into.")] = None,
) -> None:
    """Kill and stop workers and servers at random while events flow. Exit code 1 unless every event counted once."""
    from streams import verify as verification
    from streams.faults.report import page, sheet, verdict
    from streams.faults.run import run
    from streams.reports import table, write_into

    outcome = run(load(), console, events=events, faults=count, workers=workers, seed=seed)
    console.print(table(sheet(outcome)))
    console.print(verdict(outcome), highlight=False)
    for line in verification.named(outcome.verified, limit=20):
        console.print(line, markup=False, highlight=False)
    if report:
        write_into(report, "faults", page(outcome))
    raise typer.Exit(0 if outcome.is_clean else 1)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=1, help="How long.")] = 30,
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Of the worker's capacity, which is measured.")] = 0.7,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the result into.")] = None,
) -> None:
    """Load a worker steadily and watch its memory, lag and latency, on servers of its own. Exit code 1 on a loss."""
    from streams import soak as long_run
    from streams.reports import write_into

    outcome = long_run.run(load(), console, minutes=minutes, share=share)
    console.print(long_run.summary(outcome))
    if report:
        write_into(report, "soak", long_run.page(outcome))
    raise typer.Exit(1 if outcome.unanswered else 0)


@app.command()
def rollout(
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = 300,
    seconds: Annotated[float, typer.Option(min=5, help="Of each of eleven steps.")] = 15,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the result into.")] = None,
) -> None:
    """Ship, try, promote and take back versions of the deep ranker under load, on servers of its own.

    Exit code 1 where an event has no list, or a version is taken that ought to be refused.
    """
    from streams.deep import rollout as rolling_out
    from streams.reports import write_into

    outcome = rolling_out.run(load(), console, rate=rate, seconds=seconds)
    console.print(rolling_out.summary(outcome))
    if report:
        write_into(report, "rollout", rolling_out.page(outcome))
    raise typer.Exit(0 if outcome.is_clean else 1)


@app.command()
def growth(
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the result into.")] = None,
    most_users: Annotated[int, typer.Option(min=1_000, help="Leave out steps with more.")] = 1_000_000,
) -> None:
    """Measure a worker with more and more users and items stored, its start, and how soon a new item is listed."""
    from streams.bench import growth as growing
    from streams.reports import table, titled, write_into

    measured = growing.run(load(), console, [step for step in growing.STEPS if step[0] <= most_users])
    tables = growing.sheets(measured)
    for each in tables:
        console.print(table(each))
    if report:
        write_into(report, "growth", titled(tables))
