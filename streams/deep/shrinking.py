"""`anabranch train shrink`: smaller versions of a click model, and a table of what each takes and loses."""

from pathlib import Path

import torch
from rich.console import Console

from encoders.training.deep import shrink
from encoders.training.deep.content import content, profiles
from encoders.training.deep.log import splits
from encoders.training.deep.rankers import Shape
from encoders.training.deep.trainer import Training
from streams.deep import source
from streams.reports import write_into
from streams.settings import Settings


def run(
    settings: Settings,
    console: Console,
    *,
    where: str,
    shape: Shape,
    training: Training,
    save: Path,
    page: Path | None,
) -> str:
    """The table in Markdown, on the page if one is given; the versions are in `save`, each in a folder by its name."""
    torch.set_num_threads(1)
    log, cache = source.read(where, settings, shape.parts), settings.downloads_folder / "natives"
    [split] = splits(log, 1)
    with console.status("training"):
        found = shrink.shrink(
            log,
            split,
            shape,
            content(log, shape.parts, cache),
            profiles(log, cache),
            training,
            save,
            advance=lambda name: console.print(f"judged: {name}"),
        )
    text = shrink.table(found)
    if page:
        write_into(page, "shrink", text)
    return text
