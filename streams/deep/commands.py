"""The commands of deep models: `anabranch train click ...`, `anabranch models ...`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from streams.settings import load

if TYPE_CHECKING:
    from streams.deep.registry import Registry

console = Console()

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


def _train_command(app: typer.Typer, kind: str, what: str) -> None:
    """`anabranch train KIND`: all kinds have the same options."""

    def command(
        source: Source,
        save: Annotated[Path | None, typer.Option(help="Write the version there, to be shipped.")] = None,
        checkpoint: Annotated[
            Path | None, typer.Option(help="File to go on from, and to write while training.")
        ] = None,
        set_: Changes = None,
    ) -> None:
        from encoders.training.deep.rankers import Shape
        from encoders.training.deep.trainer import Training
        from streams.deep.train import train, with_changes

        shape, training = with_changes(Shape(kind), Training(), pairs(set_))
        metrics = train(load(), console, where=source, shape=shape, training=training, checkpoint=checkpoint, save=save)
        for name, value in metrics.items():
            console.print(f"{name}: {value:.4f}")
        if save:
            console.print(f"next: [bold]anabranch models ship {save}[/]")

    app.command(kind, help=what)(command)


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


def pairs(given: list[str] | None) -> dict[str, str]:
    """NAME=VALUE, any number of times."""
    if wrong := [each for each in given or [] if "=" not in each]:
        raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE")
    return dict(each.split("=", 1) for each in given or [])


def add_to(train: typer.Typer) -> None:
    """Give `anabranch train` its commands for deep models."""
    for kind, what in KINDS.items():
        _train_command(train, kind, what)
    train.command("compare")(train_compare)
    train.command("shrink")(train_shrink)


def retrain(
    source: Source,
    kind: Annotated[str, typer.Option(help="Of the model: click, tower, sequence, mf or lightgcn.")] = "click",
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the users, to try it on.")] = 0.1,
    set_: Changes = None,
) -> None:
    """From the log to a canary: train a model, judge it on the latest clicks, and serve it to some users."""
    from encoders.training.deep.rankers import KINDS as known
    from encoders.training.deep.rankers import Shape
    from encoders.training.deep.trainer import Training
    from streams.deep.retraining import retrain
    from streams.deep.train import with_changes

    if kind not in known:
        raise typer.BadParameter(f"{kind!r} is none of: {', '.join(known)}")
    shape, training = with_changes(Shape(kind), Training(), pairs(set_))
    number, metrics = retrain(load(), console, _registry(), where=source, shape=shape, training=training, share=share)
    for name, value in metrics.items():
        console.print(f"{name}: {value:.4f}")
    console.print(f"version {number} serves {share:.0%} of the users; next: [bold]anabranch models decide[/]")


models_app = typer.Typer(no_args_is_help=True, help="Versions of the deep ranker: ship them, try them, take them back.")

Number = Annotated[int, typer.Argument(help="Of a version, as `anabranch models list` shows it.")]


def _registry() -> "Registry":
    from streams.adapters.ranker import TritonModels
    from streams.deep.registry import Registry

    settings = load()
    return Registry(settings.models_folder, TritonModels(settings.triton))


@models_app.command("list")
def list_models() -> None:
    """Show every version: what it is, how good it was when it was trained, and who is served by it."""
    registry = _registry()
    state, table = registry.state, Table()
    for heading in ("version", "kind", "AUC", "NDCG@10", "learned until", "served to"):
        table.add_column(heading)
    for number, told in registry.versions().items():
        metrics, until = told.get("metrics", {}), told.get("window", {}).get("train", [0, 0])[1]
        scores = (f"{metrics[name]:.4f}" if name in metrics else "" for name in ("AUC", "NDCG@10"))
        learned = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M}" if until else ""
        table.add_row(str(number), told.get("kind", ""), *scores, learned, state.served_to(number))
    console.print(table)


@models_app.command("ship")
def ship_model(
    folder: Annotated[Path, typer.Argument(help="That `anabranch train ... --save` wrote.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Serve it to that share of the users at once.")] = 0,
) -> None:
    """Try a version in Triton, and keep it. One that is damaged, wrong or slow is refused, and nothing changes."""
    registry = _registry()
    number = registry.ship(folder)
    console.print(f"version {number} is shipped")
    if share:
        registry.canary(number, share)
        console.print(f"{share:.0%} of the users are served by it; next: [bold]anabranch models decide[/]")
    else:
        console.print(f"next: [bold]anabranch models canary {number}[/]")


@models_app.command("canary")
def start_canary(
    number: Number, share: Annotated[float, typer.Option(min=0, max=1, help="Of the users.")] = 0.1
) -> None:
    """Serve a version to a share of the users, always the same ones."""
    _registry().canary(number, share)
    console.print(f"version {number} serves {share:.0%} of the users; next: [bold]anabranch models decide[/]")


@models_app.command("promote")
def promote_model() -> None:
    """Serve the canary to everybody."""
    console.print(f"version {_registry().promote()} serves everybody")


@models_app.command("rollback")
def roll_back_model() -> None:
    """Take back the canary; or, where there is none, the stable version for the one before it."""
    number = _registry().roll_back()
    console.print(f"version {number} serves everybody" if number else "no version is served: lists are made without")


@models_app.command("decide")
def decide_on_canary(
    least: Annotated[int, typer.Option(min=2, help="Choices before anything is decided.")] = 300,
    most: Annotated[int, typer.Option(min=2, help="Choices after which the better mean decides.")] = 10_000,
) -> None:
    """Promote the canary or take it back, by what the workers' users chose; or wait for more of that."""
    from streams.deep.deciding import decide

    decision, table = decide(load(), _registry(), least=least, most=most)
    console.print(table)
    console.print(decision)
