"""`anabranch knowledge`."""

from collections import Counter
from pathlib import Path

import typer
from rich.table import Table

from streams.cli.common import console

app = typer.Typer(no_args_is_help=True, help="What is known of items: who made them, what they belong to.")


@app.command("check")
def check_knowledge(file: Path) -> None:
    """Say what a file of knowledge tells, or where it is wrong. Exit code 1 where it is."""
    from streams import knowledge

    known = knowledge.read(file)
    told = Counter(attribute for attributes in known.values() for attribute in attributes)
    names = Counter(attribute.partition("=")[0] for attribute in told)
    table = Table(title=f"{len(known):,} items", title_justify="left")
    for heading in ("name", "values", "shared by two items or more"):
        table.add_column(heading)
    for name, values in names.items():
        shared = sum(count > 1 for each, count in told.items() if each.startswith(f"{name}="))
        table.add_row(name, f"{values:,}", f"{shared:,}")
    console.print(table)
