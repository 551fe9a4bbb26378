"""What reports of measurements have in common: tables, the page they are put into, the machine they were taken on."""

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import psutil
from msgspec import Struct
from rich.table import Table

from streams.errors import AnabranchError

PACKAGES = ("faust-streaming", "aiokafka", "cassandra-driver", "usearch", "tritonclient", "uvloop", "numpy", "numba")


class Sheet(NamedTuple):
    """A table, before it takes the form of where it is shown; its first column names the rows."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def table(sheet: Sheet, caption: str | None = None) -> Table:
    """For the terminal."""
    shown = Table(title=sheet.title or None, caption=caption)
    for number, heading in enumerate(sheet.headings):
        shown.add_column(heading, justify="right" if number else "left")
    for row in sheet.rows:
        shown.add_row(*row)
    return shown


def markdown(sheet: Sheet) -> str:
    """For a page of the documentation.

    >>> print(markdown(Sheet("", ("fruit", "kg"), [("apple", "3")])), end="")
    | fruit | kg |
    | --- | --- |
    | apple | 3 |
    """
    lines = [sheet.headings, ["---"] * len(sheet.headings), *sheet.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def titled(sheets: Sequence[Sheet]) -> str:
    """Several for a page, each with its title above it."""
    return "\n".join(f"{each.title}:\n\n{markdown(each)}" for each in sheets)


def write_into(page: Path, name: str, text: str) -> None:
    """Put the text between `<!-- name -->` and `<!-- /name -->` of a page, or start a page with it.

    Raises AnabranchError where the page has no such lines.
    """
    before = page.read_text() if page.exists() else f"<!-- {name} --><!-- /{name} -->\n"
    try:
        page.write_text(put_between(before, name, text))
    except ValueError as error:
        raise AnabranchError(f"{page} {error}") from error


def put_between(page: str, name: str, text: str) -> str:
    """The page with another text between its marks. Raises ValueError where it has none.

    >>> put_between("one <!-- x -->old<!-- /x --> two", "x", "new ")
    'one <!-- x -->\\nnew <!-- /x --> two'
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"has no lines {begin} and {end}, between which the report would go")
    return f"{before}{begin}\n{text}{end}{after}"


class Environment(Struct):
    """The machine. load_average: of the last minute, before anything was started."""

    cores: int
    cpu: str
    memory_gib: float
    load_average: float
    system: str
    python: str
    packages: dict[str, str]


def environment() -> Environment:
    """This machine, now."""
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return Environment(
        cores=len(os.sched_getaffinity(0)),
        cpu=cpu[1] if cpu else platform.machine(),
        memory_gib=round(psutil.virtual_memory().total / 1024**3, 1),
        load_average=round(os.getloadavg()[0], 2),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
    )


def machine(here: Environment, sharing: str = "servers, worker and load") -> str:
    """A sentence for a report: what it ran on."""
    return (
        f"Machine: {here.cores} cores of {here.cpu}, {here.memory_gib:.0f} GiB; {sharing} share it. Load average before"
        f" the start: {here.load_average:.1f}."
    )
