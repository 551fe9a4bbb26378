"""`anabranch rules`."""

from pathlib import Path

import typer
from rich.table import Table

from streams.cli.common import console
from streams.settings import load

app = typer.Typer(no_args_is_help=True, help="Business rules that lists keep to.")


@app.command("check")
def check_rules(file: Path) -> None:
    """Say what each rule of a file does, or name every mistake. Exit code 1 where there are any."""
    from streams import rules

    table = Table()
    for heading in ("rule", "does", "to", "for"):
        table.add_column(heading)
    for rule in rules.read(file):
        table.add_row(rule.name, *rules.described(rule))
    console.print(table)


@app.command("cost")
def measure_rules(file: Path) -> None:
    """Measure what the rules of a file add to the time of a list, on MovieLens-100k, in this process, on one core."""
    from streams.evaluate import rules as costs
    from streams.reports import table

    console.print(table(costs.sheet(costs.run(load().downloads_folder, console, file))))
