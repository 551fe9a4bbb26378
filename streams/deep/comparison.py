"""`anabranch train compare`: models and parts side by side, into a page of the documentation."""

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from encoders.training.deep import compare
from encoders.training.deep.content import content, profiles
from encoders.training.deep.log import splits
from encoders.training.deep.trainer import Training
from streams.deep import source
from streams.reports import write_into
from streams.settings import Settings

SETS = {"models": compare.MODELS, "parts": {"click, concatenation": compare.CLICK, **compare.ABLATIONS, **compare.RAW}}
"""What can be compared, by name."""

BASES = {"models": "two towers", "parts": "click, concatenation"}
"""What the others are compared with."""


def run(
    settings: Settings,
    console: Console,
    *,
    where: str,
    which: str,
    folds: int,
    training: Training,
    page: Path | None,
) -> str:
    """The table in Markdown; written between the marks of the set on the page, where one is given."""
    torch.set_num_threads(1)
    models = SETS[which]
    parts = dict.fromkeys(part for shape in models.values() for part in shape.parts)
    log, cache = source.read(where, settings, parts), settings.downloads_folder / "natives"
    known, told = content(log, list(parts), cache), profiles(log, cache)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("models trained", total=folds * len(models))
        windows = splits(log, folds)
        found = compare.compare(
            log,
            known,
            told,
            windows,
            models,
            training,
            kept=settings.downloads_folder / "compared",
            advance=lambda name: progress.update(bar, advance=1, description=name),
        )
    clicks = len(next(iter(found.values())).verdict.ranks)
    text = (
        f"{clicks:,} clicks judged in {folds} windows, one after the other, each model trained on all before; in"
        " brackets 95% intervals by drawing users anew.\n\n"
    )
    if which == "models":
        text += compare.table(found, compare.costs(log, known, told, windows[-1], models)) + "\n"
    text += compare.differences(found, BASES[which]) + "\n" + compare.by_group(found, BASES[which])
    if page:
        write_into(page, which, text)
    return text
