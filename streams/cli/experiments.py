"""`anabranch experiments`."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.common import console
from streams.cli.models import registry
from streams.settings import load

app = typer.Typer(no_args_is_help=True, help="Try things on some users, and see what comes of it.")


@app.command("check")
def check_experiments(
    plan: Path, user: Annotated[str | None, typer.Option(help="Show which arms this user is in.")] = None
) -> None:
    """Check a plan, and show who gets what. Exit code 1 where it cannot be carried out."""
    from streams import experiments
    from streams.plan import check_versions, read_plan

    settings, checked = load(), read_plan(plan)
    assert checked is not None
    if named := checked.model_versions():
        there = registry()
        check_versions(plan, checked, there.versions())
        for version in sorted({*named.values()} - {*there.state.served}):
            console.print(f"Triton does not have version {version} yet; next: [bold]anabranch models load {version}[/]")
    console.print(experiments.shares(checked, user and settings.kafka.pseudonym(user)))


@app.command("report")
def report_experiments(
    plan: Annotated[Path | None, typer.Argument(help="The one that workers have been told of, unless given.")] = None,
    log: Annotated[Path | None, typer.Option(help="Outcomes as JSON lines, in place of those in Kafka.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What each experiment has shown by now. Look as often as you like: the figures hold at any moment."""
    from streams import experiments
    from streams.plan import read_plan

    settings = load()
    path = plan or settings.worker.experiments
    checked = read_plan(path)
    if checked is None:
        raise typer.BadParameter(
            "nothing is tried: name a plan (a YAML file, docs/experiments.md shows one), or set"
            " ANABRANCH_WORKER__EXPERIMENTS to it, for workers as well"
        )
    reports = experiments.report(checked, experiments.recorded(log) if log else experiments.published(settings.kafka))
    if as_json:
        print(experiments.as_json(reports))
        return
    for table in experiments.tables(reports):
        console.print(table)


@app.command("simulate")
def simulate_experiments(
    runs: Annotated[int, typer.Option(min=1, help="Experiments without a difference.")] = 1_000,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
) -> None:
    """Run experiments in a made-up world: how often is a difference found where there is none, and where there is?"""
    from streams import experiments

    experiments.run_simulation(console, runs=runs, page=report)
