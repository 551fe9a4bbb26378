"""`anabranch evaluate-search`: ask, judge, show."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from streams.evaluate.search import clicks, cost
from streams.evaluate.search.encoded import Encoders
from streams.evaluate.search.films import films
from streams.evaluate.search.judge import judge, sheets
from streams.evaluate.search.personal import personal
from streams.evaluate.search.stamps import stamps
from streams.reports import table, titled, write_into
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
        console.print(table(sheet))
    if page:
        write_into(page, name, titled(found))
        console.print(f"written: {page}", highlight=False)
