"""Commands that say how good it is: lists, searches, explanations, diversity, defences; and what an event costs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.common import console, pairs
from streams.settings import load

SETTING = "A setting of the recommender."

app = typer.Typer()


class Against(StrEnum):
    """What lists can be compared with."""

    baselines = "baselines"
    ablations = "ablations"
    late = "late"
    nothing = "nothing"


class Recorded(StrEnum):
    """Real activity to be judged on."""

    movielens = "movielens"
    nowplaying = "nowplaying"


@app.command()
def evaluate(
    offline: Annotated[bool, typer.Option("--offline", help="In this process, without servers.")] = False,
    log: Annotated[
        Path | None, typer.Option(help="With --offline: events as JSON lines to replay, in place of a data set.")
    ] = None,
    dataset: Annotated[Recorded, typer.Option(help="Offline, real activity to replay.")] = Recorded.movielens,
    clicks: Annotated[int | None, typer.Option(min=100, help="Judge at most so many clicks, the oldest.")] = None,
    views: Annotated[
        bool, typer.Option("--views", help="Offline, replay MovieLens' ratings below 4 as views.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0, help="Clicks a second; 0 waits for each list before the next click.")
    ] = 0,
    against: Annotated[
        Against | None, typer.Option(help="What to compare with, in this process; offline, baselines unless told.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help=f"Offline, {SETTING[0].lower()}{SETTING[1:]}"),
    ] = None,
    held: Annotated[
        bool, typer.Option("--held", help="Offline, judge the list made right after the user's event before.")
    ] = False,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Offline, a version that `anabranch train --save` wrote, to have a say beside."),
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Compare with lists that --lists wrote, too.")
    ] = None,
    lists: Annotated[Path | None, typer.Option(help="Write the judged lists there, one JSON array a line.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write report.html, .png, .md and .json into that folder.")
    ] = None,
) -> None:
    """Judge the lists that the running system publishes, on MovieLens-100k and fresh data; or any log, offline."""
    from streams.evaluate.run import Wanted
    from streams.evaluate.run import evaluate as judge

    if (log or dataset != Recorded.movielens) and not offline:
        raise typer.BadParameter("only MovieLens goes through the running system: add --offline")
    default = Against.baselines if offline else Against.nothing
    wanted = Wanted(
        offline=offline,
        file=log,
        dataset=dataset.value,
        clicks=clicks,
        views=views,
        clicks_per_second=rate,
        against=(against or default).value,
        changes=pairs(set_),
        held=held,
        versions=model or (),
        compared={name: Path(file) for name, file in pairs(compare).items()},
        lists=lists,
        folder=report,
    )
    judge(load(), console, wanted)


@app.command()
def scale(
    items: Annotated[list[int] | None, typer.Option(min=100, help="Size of a catalogue; may be given again.")] = None,
    clicks_per_item: Annotated[float, typer.Option(min=1, help="Clicks learned for each item, measured ones in.")] = 10,
) -> None:
    """Measure what an event costs the recommender as the catalogue grows, in this process, on one core."""
    from streams.evaluate import scale as costs
    from streams.reports import table

    sizes = items or [1_000, 3_000, 10_000, 30_000, 100_000]
    points = costs.run(load().downloads_folder, console, sizes, clicks_per_item=clicks_per_item)
    console.print(table(costs.sheet(points)))


@app.command("evaluate-search")
def evaluate_search(
    films: Annotated[
        Path | None, typer.Option(help="A folder with items.jsonl and posters/ of films, in place of the stamps.")
    ] = None,
    tastes: Annotated[
        bool, typer.Option("--tastes", help="With --films: what it is worth to know who asks, over MovieLens' clicks.")
    ] = False,
    clicks: Annotated[
        bool, typer.Option("--clicks", help="What clicks on answers teach, by people who are made up.")
    ] = False,
    items: Annotated[
        list[int] | None, typer.Option(min=1_000, help="Measure what a search takes among so many; may be given again.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the tables into.")] = None,
) -> None:
    """Ask for what is known to be there, by words alone, vectors alone and both; in this process, without servers."""
    from streams.evaluate.search.run import evaluate

    evaluate(load(), console, folder=films, tastes=tastes, clicked=clicks, sizes=items or [], page=report)


@app.command("evaluate-explanations")
def evaluate_explanations(
    clicks: Annotated[int, typer.Option(min=500, help="Of MovieLens-100k, the oldest.")] = 4_000,
    users: Annotated[int, typer.Option(min=1, help="Users whose lists are explained.")] = 10,
    past: Annotated[int, typer.Option(min=3, max=20, help="Past items of each that are taken away in turn.")] = 8,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SETTING)] = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
) -> None:
    """Compare what explanations state with what is measured: a log replayed without each click, in this process."""
    from streams.evaluate import fidelity
    from streams.evaluate.run import recommender
    from streams.reports import markdown, table, write_into

    settings = recommender(pairs(set_))
    found = fidelity.run(load().downloads_folder, console, clicks=clicks, users=users, past=past, settings=settings)
    console.print(table(fidelity.sheet(found)))
    if report:
        write_into(report, "fidelity", markdown(fidelity.sheet(found)))


@app.command("evaluate-diversity")
def evaluate_diversity(
    clicks: Annotated[int | None, typer.Option(min=1_000, help="Of MovieLens-100k, the oldest; else all.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Judge one in so many clicks of the last half.")] = 5,
    trait: Annotated[str, typer.Option(help="Of profiles, by whose values Recall is told apart.")] = "gender",
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw Recall against each measure there, as PNG.")] = None,
) -> None:
    """Show what diversity, calibration and limits of exposure cost and give, on MovieLens-100k, in this process."""
    from streams.evaluate import plots, tradeoff
    from streams.reports import markdown, table, write_into

    points = tradeoff.run(load().downloads_folder, console, clicks=clicks, every=every, trait=trait)
    console.print(table(tradeoff.sheet(points)))
    if report:
        write_into(report, "tradeoff", markdown(tradeoff.sheet(points)))
    if picture:
        picture.write_bytes(plots.png(tradeoff.draw(points)))


@app.command("evaluate-privacy")
def evaluate_privacy(
    clicks: Annotated[int | None, typer.Option(min=500, help="Of MovieLens-100k, the oldest; else all.")] = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
) -> None:
    """Show what each ANABRANCH_PRIVACY__EPSILON costs, by which made-up touches are learned; in this process."""
    from streams.evaluate import privacy
    from streams.reports import markdown, table, write_into

    sheet = privacy.sheet(privacy.run(load().downloads_folder, console, clicks=clicks))
    console.print(table(sheet))
    if report:
        write_into(report, "epsilon", markdown(sheet))


@app.command("evaluate-attack")
def evaluate_attack(
    clicks: Annotated[int, typer.Option(min=1_000, help="Of MovieLens-100k, the oldest, before the attack.")] = 10_000,
) -> None:
    """Push unpopular items by floods of clicks, with and without each defence, in this process."""
    from streams.evaluate import attack
    from streams.reports import table

    outcomes = attack.run(load().downloads_folder, console, clicks=clicks)
    console.print(table(attack.sheet(outcomes)))
