"""A recommender that learns with every event. Begin with `demo`; or `up`, `worker`, `status`.

Every command says what it does, and what to do next when it cannot.
"""

from importlib.metadata import version
from typing import Annotated

import typer
from rich.markup import escape

from streams.cli import (
    evaluating,
    events,
    experiments,
    knowledge,
    measuring,
    models,
    moderation,
    people,
    rules,
    running,
    topics,
    training,
)
from streams.cli.common import console, on_stderr
from streams.errors import AnabranchError, KafkaUnavailable, SinkUnavailable, StoreUnavailable

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
LISTS, MODELS = "What is shown, and to whom", "Deep models"

_anew = typer.Typer()  # of models: what is done again and again has a short name
_anew.command()(models.retrain)
_anew.command()(training.tune)
for _commands, _panel in (
    (running.app, "Start, stop, look after"),
    (events.app, "The events"),
    (people.app, "One user"),
    (evaluating.app, "How good is it?"),
    (measuring.app, "How fast is it, how sturdy?"),
    (_anew, MODELS),
):
    for _command in _commands.registered_commands:
        _command.rich_help_panel = _panel
    app.add_typer(_commands)
for _name, _group, _panel in (
    ("models", models, MODELS),
    ("train", training, MODELS),
    ("experiments", experiments, LISTS),
    ("rules", rules, LISTS),
    ("knowledge", knowledge, LISTS),
    ("moderate", moderation, LISTS),
    ("topics", topics, "The events"),
):
    app.add_typer(_group.app, name=_name, rich_help_panel=_panel)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"anabranch {version('anabranch')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What comes before a command."""


def main() -> None:
    """The entry point: known errors are one red line, not a traceback."""
    try:
        app()
    except AnabranchError as error:
        on_stderr.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}", highlight=False)
        if isinstance(error, KafkaUnavailable | SinkUnavailable | StoreUnavailable):
            on_stderr.print("what is unwell, and what mends it: [bold]anabranch status[/]", highlight=False)
        raise SystemExit(1) from None
