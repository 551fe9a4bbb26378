"""`anabranch moderate`."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.common import console
from streams.settings import load

Note = Annotated[str, typer.Option(help="What is to be kept of why; shown with an item that is refused.")]
By = Annotated[str, typer.Option(help="Who decides; unless told, the user of the operating system.")]

app = typer.Typer(no_args_is_help=True, help="Uploads that wait for a moderator.")


@app.command("list")
def list_held(
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many that wait.")] = 100,
    decided: Annotated[int, typer.Option(min=1, help="Show at most so many decisions.")] = 10,
) -> None:
    """Show what is held, the longest first, and why; and what was decided last, by whom."""
    from streams import moderating

    for each in moderating.tables(moderating.queue(load().kafka, limit=limit, decided=decided)):
        console.print(each)


@app.command("allow")
def allow_held(item_id: str, note: Note = "", by: By = "") -> None:
    """List an item that is held; a later upload of it is looked at anew."""
    from streams import moderating

    moderating.allow(load(), item_id, moderator=by or moderating.operator(), note=note)
    console.print(f"item {item_id!r} is allowed", highlight=False)


@app.command("refuse")
def refuse_held(item_id: str, note: Note = "", by: By = "") -> None:
    """Withdraw an item that is held; a later upload of it is looked at anew."""
    from streams import moderating

    moderating.refuse(load(), item_id, moderator=by or moderating.operator(), note=note)
    console.print(f"item {item_id!r} is refused", highlight=False)


@app.command("evaluate")
def evaluate_moderation(
    pictures: Annotated[
        Path | None,
        typer.Option(help="A folder of your own pictures, in the subfolders harmful and harmless.", file_okay=False),
    ] = None,
    films: Annotated[Path | None, typer.Option(help="The same, of films.", file_okay=False)] = None,
    precision: Annotated[
        float, typer.Option(min=0, max=1, help="With a folder: say from which score on alarms are so often right.")
    ] = 0.95,
) -> None:
    """Measure precision and recall on sentences labelled for this, and false alarms on the stamps' pictures.

    Of pictures or films of your own: precision, recall and false alarms over thresholds, with 95% intervals.
    """
    from streams.evaluate import moderation
    from streams.reports import table

    for folder, score in ((pictures, moderation.pictures), (films, moderation.films)):
        if folder is not None:
            judged = moderation.of_folder(folder, score())
            console.print(table(moderation.curve(judged)))
            console.print(moderation.advice(judged, precision), highlight=False)
    if pictures is None and films is None:
        console.print(table(moderation.sheet(moderation.run(load().downloads_folder))))
