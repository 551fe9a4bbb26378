"""What commands share."""

import typer
from rich.console import Console

console = Console()
on_stderr = Console(stderr=True)  # for what is not the answer


def pairs(given: list[str] | None) -> dict[str, str]:
    """NAME=VALUE, any number of times."""
    if wrong := [each for each in given or [] if "=" not in each]:
        raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE")
    return dict(each.split("=", 1) for each in given or [])


def pairs_of_lists(given: list[str] | None) -> dict[str, list[str]]:
    """NAME=VALUE, any number of times, a name also."""
    found: dict[str, list[str]] = {}
    for each in given or []:
        pairs([each])
        name, _, value = each.partition("=")
        found.setdefault(name, []).append(value)
    return found
