"""`anabranch evaluate-search`: ask, judge, show."""

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from streams.errors import AnabranchError
from streams.evaluate import report
from streams.evaluate.report import Sheet
from streams.evaluate.search import clicks, cost
from streams.evaluate.search.encoded import Encoders
from streams.evaluate.search.films import films
from streams.evaluate.search.judge import judge, sheets
from streams.evaluate.search.personal import personal
from streams.evaluate.search.stamps import stamps
from streams.settings import Settings


def evaluate(
    settings: Settings,
    console: Console,
    *,
    folder: Path | None,
    tastes: bool,
    clicked: bool,
    sizes: Sequence[int],
    page: Path | None,
) -> None:
    """Judge the stamps, or the films of a folder, or measure catalogues of these sizes. Raises AnabranchError.

    tastes   judge what the taste of a user is worth, among the films
    clicked  judge what clicks on answers teach
    page     Markdown, in which the tables are put between `<!-- NAME -->` and `<!-- /NAME -->`
    """
    downloads = settings.downloads_folder
    encoders = Encoders(downloads / "encoded")
    if sizes:
        name, found = "cost", [cost.sheet(cost.measure(sizes, console))]
    elif folder and tastes:
        name, found = "personal", personal(folder, downloads, encoders)
    else:
        name = "films" if folder else "stamps"
        trial = films(folder, downloads, encoders) if folder else stamps(downloads, encoders)
        if clicked:
            name, found = f"{name} clicked", [clicks.sheet(trial)]
        else:
            found = sheets(judge(trial))
    for sheet in found:
        console.print(report.table(sheet))
    if page:
        _put(page, name, found)
        console.print(f"written: {page}", highlight=False)


def _put(page: Path, name: str, found: Sequence[Sheet]) -> None:
    tables = "\n".join(f"{sheet.title}:\n\n{report.markdown(sheet)}" for sheet in found)
    text = page.read_text()
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marked.search(text):
        raise AnabranchError(f"{page} has no place for tables: <!-- {name} --> and <!-- /{name} -->")
    page.write_text(marked.sub(lambda found: found[1] + tables + found[2], text))
