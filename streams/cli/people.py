"""Commands about one user: their list and its reasons, what is held of them, what they look for."""

import asyncio
import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.common import console, on_stderr, pairs_of_lists
from streams.settings import load

app = typer.Typer()


@app.command()
def recs(user_id: str) -> None:
    """Show the list a user has now."""
    from streams.consumer import latest

    found = latest(load("consumer").kafka, user_id)
    if found is None:
        console.print(f"user {user_id!r} has no list yet: send an event of theirs, or `anabranch replay`")
        raise typer.Exit(1)
    speaks = ", ".join(f"{name} {weight:.0%}" for name, weight in found.modalities.items())
    table = Table(title=f"user {user_id}, version {found.list_version}", caption=speaks and f"what speaks: {speaks}")
    for heading in ("", "item", "score", "reason", "because of"):
        table.add_column(heading)
    for place, item in enumerate(found.items, 1):
        because = " ".join(filter(None, (item.because, item.shared and f"({item.shared})")))
        table.add_row(str(place), escape(item.item_id), f"{item.score:.3f}", item.reason, escape(because))
    console.print(table)


@app.command()
def explain(
    user_id: str,
    item_id: str,
    past: Annotated[int, typer.Option(min=0, max=100, help="Latest items of the user, each taken away in turn.")] = 20,
) -> None:
    """Say why an item stands where it does in a user's list as it would be made now, and where without each click."""
    from streams import explaining

    explaining.show(asyncio.run(explaining.explain(load(), user_id, item_id, past, on_stderr)), console)


@app.command()
def forget(user_id: str) -> None:
    """Erase all that is known of a user, and wait until it is; says what was erased, and what expires when."""
    from streams import privacy

    privacy.forget(load(), user_id, console)


@app.command()
def export(user_id: str) -> None:
    """Print all that is held of a user, as JSON. Exit code 1 where nothing is."""
    from streams import privacy

    held = asyncio.run(privacy.export(load(), user_id, on_stderr))
    print(json.dumps(held, indent=2, ensure_ascii=False))
    if not (held["user"] or held["list"] or held["memory"]):
        on_stderr.print(f"nothing is held of user {user_id!r}", highlight=False)
        raise typer.Exit(1)


@app.command()
def search(
    words: Annotated[str, typer.Argument(help="What to look for, in any language.")] = "",
    image: Annotated[str | None, typer.Option(metavar="FILE|URI", help="A picture like it.")] = None,
    audio: Annotated[str | None, typer.Option(metavar="FILE|URI", help="A sound like it.")] = None,
    speech: Annotated[str | None, typer.Option(metavar="FILE|URI", help="Somebody saying what to look for.")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE|URI", help="A video like it.")] = None,
    user: Annotated[str | None, typer.Option(help="Who asks: what they like comes first.")] = None,
    filter_: Annotated[
        list[str] | None, typer.Option("--filter", metavar="NAME=VALUE", help="Only such items; may be given again.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Items to show.")] = 10,
    offset: Annotated[int, typer.Option(min=0, max=900, help="Items to skip.")] = 0,
    personal: Annotated[
        bool, typer.Option("--personal/--no-personal", help="Whether what the user likes has a say.")
    ] = True,
    unsafe: Annotated[bool, typer.Option("--unsafe", help="Show unsafe items, too.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show what spoke for each item.")] = False,
) -> None:
    """Search through the running system, in words, by example, or both."""
    from streams import asking

    media = {"image": image, "audio": audio, "speech": speech, "video": video}
    query = asking.query(
        words,
        {modality: given for modality, given in media.items() if given},
        user_id=user,
        filters=pairs_of_lists(filter_),
        limit=limit,
        offset=offset,
        personal=personal,
        safe=not unsafe,
        explain=explain,
    )
    if not asking.show(load().kafka, query, console):
        raise typer.Exit(1)
