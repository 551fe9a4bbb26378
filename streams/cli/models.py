"""`anabranch models`, and the way from the log to a canary in one command."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from streams.cli.common import console, pairs
from streams.cli.training import Changes, Source
from streams.settings import load

if TYPE_CHECKING:
    from streams.deep.registry import Registry

app = typer.Typer(no_args_is_help=True, help="Versions of the deep ranker: ship them, try them, take them back.")

Number = Annotated[int, typer.Argument(help="Of a version, as `anabranch models list` shows it.")]


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
    number, metrics = retrain(load(), console, registry(), where=source, shape=shape, training=training, share=share)
    for name, value in metrics.items():
        console.print(f"{name}: {value:.4f}")
    console.print(f"version {number} serves {share:.0%} of the users; next: [bold]anabranch models decide[/]")


def registry() -> "Registry":
    """The versions of this home, and the Triton that serves them."""
    from streams.adapters.ranker import TritonModels
    from streams.deep.registry import Registry

    settings = load()
    return Registry(settings.models_folder, TritonModels(settings.triton))


@app.command("list")
def list_models() -> None:
    """Show every version: what it is, how good it was when it was trained, and who is served by it."""
    versions = registry()
    if not versions.versions():
        console.print("no version was shipped yet; next: [bold]anabranch retrain kafka[/], which trains and ships one")
        return
    state, table = versions.state, Table()
    for heading in ("version", "kind", "AUC", "NDCG@10", "learned until", "served to"):
        table.add_column(heading)
    for number, told in versions.versions().items():
        metrics, until = told.get("metrics", {}), told.get("window", {}).get("train", [0, 0])[1]
        scores = (f"{metrics[name]:.4f}" if name in metrics else "" for name in ("AUC", "NDCG@10"))
        learned = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M}" if until else ""
        table.add_row(str(number), told.get("kind", ""), *scores, learned, state.served_to(number))
    console.print(table)


@app.command("ship")
def ship_model(
    folder: Annotated[Path, typer.Argument(help="That `anabranch train ... --save` wrote.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Serve it to that share of the users at once.")] = 0,
) -> None:
    """Try a version in Triton, and keep it. One that is damaged, wrong or slow is refused, and nothing changes."""
    versions = registry()
    number = versions.ship(folder)
    console.print(f"version {number} is shipped")
    if share:
        versions.canary(number, share)
        console.print(f"{share:.0%} of the users are served by it; next: [bold]anabranch models decide[/]")
    else:
        console.print(f"next: [bold]anabranch models canary {number}[/]")


@app.command("canary")
def start_canary(
    number: Number, share: Annotated[float, typer.Option(min=0, max=1, help="Of the users.")] = 0.1
) -> None:
    """Serve a version to a share of the users, always the same ones."""
    registry().canary(number, share)
    console.print(f"version {number} serves {share:.0%} of the users; next: [bold]anabranch models decide[/]")


@app.command("promote")
def promote_model() -> None:
    """Serve the canary to everybody."""
    console.print(f"version {registry().promote()} serves everybody")


@app.command("rollback")
def roll_back_model() -> None:
    """Take back the canary; or, where there is none, the stable version for the one before it."""
    number = registry().roll_back()
    console.print(f"version {number} serves everybody" if number else "no version is served: lists are made without")


@app.command("load")
def load_model(number: Number) -> None:
    """Have Triton load a version for arms of experiments that name it; nobody else is served by it."""
    registry().load(number)
    console.print(f"version {number} answers for arms that set model_version: {number}")


@app.command("unload")
def unload_model(number: Number) -> None:
    """Undo `load`: arms that name the version are served as everybody is."""
    registry().unload(number)
    console.print(f"version {number} answers for no arm any more")


@app.command("decide")
def decide_on_canary(
    least: Annotated[int, typer.Option(min=2, help="Choices before anything is decided.")] = 300,
    most: Annotated[int, typer.Option(min=2, help="Choices after which the better mean decides.")] = 10_000,
) -> None:
    """Promote the canary or take it back, by what the workers' users chose; or wait for more of that."""
    from streams.deep.deciding import decide

    decision, table = decide(load(), registry(), least=least, most=most)
    console.print(table)
    console.print(decision)
