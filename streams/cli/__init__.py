"""`anabranch`: every command says what it does, and what to do next when it cannot."""

import typer

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
from streams.cli.common import on_stderr
from streams.errors import AnabranchError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
app.command()(models.retrain)
app.command()(training.tune)
for _commands in (running, events, evaluating, measuring, people):
    app.add_typer(_commands.app)
for _name, _group in {
    "topics": topics,
    "rules": rules,
    "knowledge": knowledge,
    "moderate": moderation,
    "train": training,
    "experiments": experiments,
    "models": models,
}.items():
    app.add_typer(_group.app, name=_name)


def main() -> None:
    """The entry point: known errors are one red line, not a traceback."""
    try:
        app()
    except AnabranchError as error:
        on_stderr.print(f"[red]{type(error).__name__}:[/] {error}", highlight=False)
        raise SystemExit(1) from None
