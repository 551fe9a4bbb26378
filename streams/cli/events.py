"""Commands about the log of events: play one, hold the tables against it, make them anew from it."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.common import console
from streams.settings import load

app = typer.Typer()


class Catalogue(StrEnum):
    """What the demo can show."""

    movielens = "movielens"
    stamps = "stamps"


@app.command()
def demo(
    catalogue: Annotated[
        Catalogue, typer.Option(help="Films and real clicks, or stamps with pictures and sounds.")
    ] = Catalogue.movielens,
    events: Annotated[int, typer.Option(min=1, help="Events to replay, oldest first.")] = 12_000,
    speed: Annotated[float | None, typer.Option(min=0, help="Events a second; 0 plays as fast as it goes.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave servers and worker running.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Write the last screen there, as SVG.")] = None,
) -> None:
    """Show the whole system at work, on fresh data; leaves nothing running."""
    from streams import demo as show

    show.run(
        load(),
        console,
        catalogue=catalogue.value,
        events=events,
        events_per_second=speed,
        keep=keep,
        picture=picture,
    )


@app.command()
def replay(
    events: Annotated[int, typer.Option(min=1, help="Recorded events to replay, of 100,943.")] = 200_000,
    speed: Annotated[float, typer.Option(min=0, help="Events a second; 0 plays as fast as it goes.")] = 0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds without any list after which to give up.")] = 30,
) -> None:
    """Play MovieLens-100k into a running system, and report what came back. Exit code 1 if an event got no list."""
    from streams import replay as player

    report = player.replay(load(), console, events=events, events_per_second=speed, patience=patience)
    console.print(player.summary(report))
    if report.users:
        console.print(f"next: [bold]anabranch recs {[*report.users][-1]}[/]", highlight=False)
    raise typer.Exit(1 if report.unanswered else 0)


@app.command()
def verify(
    named: Annotated[int, typer.Option(min=1, help="Users and items to name, of those that differ.")] = 20,
) -> None:
    """Compare Cassandra's users and items with a replay of the events in Kafka. Exit code 1 when any differ."""
    from streams import verify as verification

    report = asyncio.run(verification.verify(load(), console, named=named))
    console.print(verification.summary(report))
    for line in verification.named(report, named):
        console.print(line, markup=False, highlight=False)
    raise typer.Exit(0 if report.is_clean else 1)


@app.command()
def rebuild(
    since: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="TIME|TOPIC:PARTITION:OFFSET",
            help="Leave out what came before; else the whole log counts. A place may be given for each partition.",
        ),
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed", help="Embed all items again, after Triton was given other weights.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Do not erase the users and items of before.")] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="Instead, drop what rebuilds that were killed, and --keep, have left.")
    ] = False,
) -> None:
    """Make users and items anew from the events in Kafka, beside running workers, and put them in place at once."""
    from streams import rebuild as rebuilding

    if drop:
        dropped = rebuilding.drop_unused(load())
        console.print(f"dropped: {', '.join(dropped) or 'nothing was left'}")
        return
    try:
        begins = rebuilding.read_since(since or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from") from error
    outcome = asyncio.run(rebuilding.rebuild(load(), console, since=begins, embed=embed, keep=keep))
    console.print(rebuilding.summary(outcome))
    console.print("workers and `anabranch serve` have ended, or do within seconds: start them again", highlight=False)
