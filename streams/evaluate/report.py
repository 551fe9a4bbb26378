"""A comparison for the terminal, as JSON, as Markdown, and as a page of HTML that needs no other file."""

from base64 import b64encode
from html import escape
from pathlib import Path

import msgspec

from streams.core.evaluation import K, Quality
from streams.core.significance import Difference
from streams.evaluate import plots
from streams.evaluate.comparison import HEADLINE, Comparison, Figures
from streams.reports import Sheet, markdown

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
tbody tr:first-child { font-weight: 600 }
img { max-width: 100% }
"""


def sheets(comparison: Comparison) -> list[Sheet]:
    """Quality in each window, the headline first; then differences and cost."""
    names = sorted(next(iter(comparison.systems.values())).quality, key=lambda name: name != HEADLINE)
    found = [_quality(comparison, name) for name in names]
    if len(comparison.systems) > 1:
        found.append(_differences(comparison))
    if any(each.cost for each in comparison.systems.values()):
        found.append(_cost(comparison))
    return found


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Write report.html, report.png, report.md and report.json; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = plots.png(plots.draw(comparison))
    figures = {
        "log": comparison.log,
        "clicks": comparison.clicks,
        "users": comparison.users,
        "items": comparison.items,
        "systems": comparison.systems,
    }
    contents = {
        "report.html": html(comparison, picture).encode(),
        "report.png": picture,
        "report.md": "\n".join(f"{each.title}\n\n{markdown(each)}" for each in sheets(comparison)).encode(),
        "report.json": msgspec.json.format(msgspec.json.encode(figures)),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def html(comparison: Comparison, picture: bytes) -> str:
    """One page, the picture in it."""
    title = escape(f"Quality on {comparison.log}")
    body = "".join(f"<h2>{escape(sheet.title)}</h2>{_html(sheet)}" for sheet in sheets(comparison))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{comparison.clicks:,} clicks of {comparison.users:,} users on {comparison.items:,} items;"
        f" each list is judged by the next click of its user, then the click is learned.</p>"
        f'<img alt="Recall over time and by history, coverage, Gini"'
        f' src="data:image/png;base64,{b64encode(picture).decode()}">{body}</html>\n'
    )


def _html(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in sheet.headings)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in sheet.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _quality(comparison: Comparison, window: str) -> Sheet:
    def row(name: str, each: Quality) -> list[str]:
        means = (each.recall, each.precision, each.ndcg, each.mrr)
        return [
            name,
            *(f"{mean:.4f}" for mean in means),
            f"{each.coverage:.3f}",
            f"{each.novelty:.2f}",
            f"{each.gini:.3f}",
        ]

    headings = ("system", "Recall", "precision", "NDCG", "MRR", "coverage", "novelty", "Gini")
    found = {name: figures.quality[window] for name, figures in comparison.systems.items()}
    events = next(iter(found.values())).events
    return Sheet(
        f"The first {K} items of each list, {window}: {events:,} clicks",
        headings,
        [row(name, each) for name, each in found.items()],
    )


def _differences(comparison: Comparison) -> Sheet:
    first, *_ = comparison.systems
    rows = []
    for name, figures in comparison.systems.items():
        if figures.beside is not None:
            hits = figures.beside.hits
            p = f"{hits.p:.2g}" if hits.p >= 1e-12 else "< 1e-12"
            split = f"{hits.only_first:,} : {hits.only_second:,}"
            rows.append([name, _interval(figures.beside.recall), _interval(figures.beside.ndcg), split, p])
    headings = ("than", "Recall, 95% interval", "NDCG, 95% interval", "hit alone", "p, McNemar")
    return Sheet(f"How much better {first} is, {HEADLINE}", headings, rows)


def _interval(difference: Difference) -> str:
    return f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


def _cost(comparison: Comparison) -> Sheet:
    def row(name: str, each: Figures) -> list[str]:
        cost = each.cost
        return [name, *(f"{ms:.2f}" for ms in (cost.mean, cost.p50, cost.p99, cost.max))] if cost else [name, *"----"]

    headings = ("system", "mean", "p50", "p99", "max")
    rows = [row(name, each) for name, each in comparison.systems.items()]
    return Sheet("Milliseconds of the processor for a click, learned and listed", headings, rows)
