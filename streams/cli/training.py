"""`anabranch train`: what the encoders, fusion and deep models can learn."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.common import console, pairs
from streams.settings import load

app = typer.Typer(no_args_is_help=True, help="Train what the encoders and fusion can learn, and measure it.")

KINDS: Mapping[str, str] = {
    "click": "Train a click model: text, pictures, profile and items, mixed; a click probability.",
    "tower": "Train two towers for retrieval, by a sampled softmax.",
    "sequence": "Train a Transformer or a GRU over the items clicked last.",
    "mf": "Train matrix factorisation, to compare with.",
    "lightgcn": "Train LightGCN, to compare with.",
}

Source = Annotated[str, typer.Argument(help="'kafka', a file of events as JSON lines, or a folder of MovieLens.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Such as mix=attention, parts=item+words, epochs=5."),
]


def _add(kind: str, what: str) -> None:
    """`anabranch train KIND`: all kinds have the same options."""

    def command(
        source: Source,
        save: Annotated[Path | None, typer.Option(help="Write the version there, to be shipped.")] = None,
        checkpoint: Annotated[
            Path | None, typer.Option(help="File to go on from, and to write while training.")
        ] = None,
        shard: Annotated[
            bool, typer.Option("--shard", help="Share the weights out among the processes of torchrun: FSDP.")
        ] = False,
        clicks: Annotated[int | None, typer.Option(min=100, help="Learn from at most so many, the oldest.")] = None,
        set_: Changes = None,
    ) -> None:
        from encoders.training.deep.rankers import Shape
        from encoders.training.deep.trainer import Training
        from streams.deep.train import train, with_changes

        shape, training = with_changes(Shape(kind), Training(), pairs(set_))
        metrics = train(
            load(),
            console,
            where=source,
            shape=shape,
            training=training,
            checkpoint=checkpoint,
            save=save,
            shard=shard,
            clicks=clicks,
        )
        for name, value in metrics.items():
            console.print(f"{name}: {value:.4f}")
        if save:
            console.print(f"next: [bold]anabranch models ship {save}[/]")

    app.command(kind, help=what)(command)


for _kind, _what in KINDS.items():
    _add(_kind, _what)


def tune(
    source: Source,
    kind: Annotated[str, typer.Option(help="Of the model: click, tower, sequence, mf or lightgcn.")] = "click",
    trials: Annotated[int, typer.Option(min=1, help="That the study shall have, those of earlier runs included.")] = 30,
    study: Annotated[Path | None, typer.Option(help="File of SQLite to go on with, and to write.")] = None,
    set_: Changes = None,
) -> None:
    """Search the settings that a deep model learns a log best with; what --set names is left as it is."""
    from streams.deep import tuning

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is none of: {', '.join(KINDS)}")
    settings = load()
    where = study or settings.home / "studies" / f"{kind}.db"
    given = pairs(set_)
    best, judgement, pruned = tuning.run(
        settings, console, where=source, kind=kind, given=given, trials=trials, study=where
    )
    console.print(f"{trials} trials, of which {pruned} were pruned; the best is judged {judgement:.4f}")
    chosen = " ".join(f"--set {name}={value}" for name, value in {**given, **best}.items())
    console.print(f"next: [bold]anabranch train {kind} {source} {chosen}[/]", soft_wrap=True)


@app.command("compare")
def train_compare(
    source: Source,
    which: Annotated[str, typer.Option(help="'models', or 'parts' for what each part of items adds.")] = "models",
    folds: Annotated[int, typer.Option(min=1, max=7, help="Windows to judge in, one after the other.")] = 3,
    set_: Changes = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
) -> None:
    """Train and judge models side by side, each on what came after all it learned from."""
    from encoders.training.deep.rankers import Shape
    from encoders.training.deep.trainer import Training
    from streams.deep import comparison
    from streams.deep.train import with_changes

    if which not in comparison.SETS:
        raise typer.BadParameter(f"{which!r} is none of: {', '.join(comparison.SETS)}")
    _, training = with_changes(Shape("click"), Training(), pairs(set_))
    text = comparison.run(load(), console, where=source, which=which, folds=folds, training=training, page=report)
    console.print(text, soft_wrap=True, markup=False, highlight=False)


@app.command("shrink")
def train_shrink(
    source: Source,
    save: Annotated[Path, typer.Argument(help="Folder for the versions.")],
    set_: Changes = None,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the table into.")] = None,
) -> None:
    """Train a click model and make it smaller: distilled, pruned, in int8; what each takes and loses."""
    from encoders.training.deep.rankers import Shape
    from encoders.training.deep.trainer import Training
    from streams.deep import shrinking
    from streams.deep.train import with_changes

    shape, training = with_changes(Shape("click"), Training(), pairs(set_))
    text = shrinking.run(load(), console, where=source, shape=shape, training=training, save=save, page=report)
    console.print(text, soft_wrap=True, markup=False, highlight=False)


@app.command("align")
def train_align(
    save: Annotated[Path | None, typer.Option(help="Write projections trained on all items there.")] = None,
    spoken: Annotated[str, typer.Option(help="Language of the speech: English, Spanish or French.")] = "English",
    splits: Annotated[int, typer.Option(min=0, help="Splits to measure on; 0 measures nothing.")] = 5,
) -> None:
    """Make modalities meet, on the stamps' own pairs of parts; print how well one finds another."""
    from encoders.training import stamps_report

    if spoken not in stamps_report.SPOKEN:
        raise typer.BadParameter(f"{spoken!r} is none of: {', '.join(stamps_report.SPOKEN)}")
    stamps_report.run(load().downloads_folder, save=save, spoken=spoken, splits=splits)


@app.command("compress")
def train_compress(
    splits: Annotated[int, typer.Option(min=0, help="Splits to measure on; 0 measures nothing.")] = 5,
) -> None:
    """Write networks in int8, for ANABRANCH_PRECISION to pick; print what each precision takes and loses."""
    from encoders.training import compression_report

    compression_report.run(load().downloads_folder, splits=splits)


@app.command("fusion")
def train_fusion(
    folder: Annotated[Path, typer.Argument(help="With items.jsonl, ml-100k.inter and posters/.")],
    splits: Annotated[int, typer.Option(min=1, help="Splits to judge on, beside two to choose by.")] = 5,
    report: Annotated[Path | None, typer.Option(help="A Markdown page to put the tables into.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write there what serves the best way of fusing both.")] = None,
    method: Annotated[str | None, typer.Option(help="Save this way instead, such as 'attention'.")] = None,
) -> None:
    """Compare ways of fusing text and pictures on items that nobody has clicked yet."""
    from encoders.torch_fusion import METHODS
    from encoders.training import cold_items_report
    from encoders.training.cold_items import PLAIN
    from streams.reports import write_into

    settings = load()
    if method and method not in (known := [*PLAIN, *METHODS]):
        raise typer.BadParameter(f"{method!r} is none of: {', '.join(known)}")
    tables, weights = cold_items_report.run(
        folder, settings.downloads_folder, console, splits=splits, saved=save, method=method
    )
    console.print(tables, soft_wrap=True, markup=False, highlight=False)
    if report:
        write_into(report, "cold items", tables)
    served = json.dumps(settings.worker.fusion_weights | weights)
    console.print(f"without training: ANABRANCH_WORKER__FUSION_WEIGHTS='{served}'", soft_wrap=True)
    if save:
        console.print(
            f"with it: ANABRANCH_PROJECTIONS={save} for Triton, ANABRANCH_WORKER__FUSION_FOLDER={save} for workers",
            soft_wrap=True,
        )
