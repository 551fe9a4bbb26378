"""The progress bars of commands that take a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def bars(console: Console, *, transient: bool = False) -> Progress:
    """A bar for each task, with how much is done and how long the rest will take.

    transient  gone once all is done
    """
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=transient)


@contextmanager
def reading(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar for whoever reads a log to its end: to be told how many messages have been read, and how many there are."""
    with bars(console, transient=True) as progress:
        task = progress.add_task("reading what was learned", total=None)
        yield lambda read, of: progress.update(task, completed=read, total=of)
