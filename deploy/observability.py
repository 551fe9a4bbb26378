"""The dashboard of Grafana and the table of metrics in the docs, from the metrics there are.

`python -m deploy.observability` writes both. A metric that is new has a row and a panel by that alone.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from prometheus_client import Counter, Gauge, Histogram

from streams import metrics
from streams.reports import put_between

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "deploy" / "grafana" / "anabranch.json"
PAGE = ROOT / "docs" / "operations.md"
MARK = "metrics"
ROWS = {
    "Stream": r"events|event_to|dependency|lists|stage|batch|consumer_lag|owned|uploads|users|clicks_unjudged",
    "Quality": r"_at_10|list_click|exposure|judged|diversity",
    "Experiments and rules": r"experiment|rule",
    "Shipped models": r"ranker|unadvised",
    "Memory and items": r"replica|index|log_|parts|texts|cached|space",
    "Search": r"quer|search",
    "HTTP": r"http",
}
"""Title -> names of metrics, the first that fits; what fits nowhere is in a row of its own."""
REST = "More"
WIDTH, HEIGHT, PER_LINE = 8, 7, 3


class Shown(Struct, frozen=True):
    """A metric as Prometheus has it.

    name    with what its kind adds: `_total` of a counter, but not `_bucket` of a histogram
    kind    'counter', 'gauge' or 'histogram'
    labels  beside those that Prometheus adds
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    tells: str

    @property
    def row(self) -> str:
        """The title of the row of the dashboard."""
        order = sorted(ROWS, key=lambda title: title == "Stream")  # the others' words are more particular
        return next((title for title in order if re.search(ROWS[title], self.name)), REST)


def shown() -> list[Shown]:
    """Every metric, in the order of `streams/metrics.py`."""
    found: list[Counter | Gauge | Histogram] = []
    for each in vars(metrics).values():
        found += [one for one in (each.values() if isinstance(each, dict) else [each]) if _is_metric(one)]
    return [
        Shown(
            each._name + ("_total" if isinstance(each, Counter) else ""),
            type(each).__name__.lower(),
            tuple(each._labelnames),
            each._documentation,
        )
        for each in found
    ]


def _is_metric(each: object) -> bool:
    return isinstance(each, Counter | Gauge | Histogram)


def table() -> str:
    """For the docs."""
    lines = ["| metric | | what it tells |", "|---|---|---|"]
    for each in shown():
        labels = f"{{{','.join(each.labels)}}}" if each.labels else ""
        lines.append(f"| `{each.name}{labels}` | {each.kind} | {each.tells[0].lower()}{each.tells[1:]} |")
    return "\n".join(lines) + "\n"


def queries(each: Shown) -> Iterator[tuple[str, str]]:
    """What a panel asks Prometheus, and what its curves are called."""
    by = f" by ({', '.join(each.labels)})" if each.labels else ""
    legend = " ".join(f"{{{{{label}}}}}" for label in each.labels)
    if each.kind == "counter":
        yield f"sum{by} (rate({each.name}[$__rate_interval]))", legend or "all"
    elif each.kind == "histogram":
        group = ", ".join(("le", *each.labels))
        for quantile in (0.5, 0.99):
            inner = f"sum by ({group}) (rate({each.name}_bucket[$__rate_interval]))"
            yield f"histogram_quantile({quantile}, {inner})", f"{legend} {quantile:.0%}".strip()
    else:
        yield f"sum by ({', '.join(('instance', *each.labels))}) ({each.name})", f"{{{{instance}}}} {legend}".strip()


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    panels: list[dict[str, Any]] = []
    every, top = shown(), 0
    for title in [*ROWS, REST]:
        own = [each for each in every if each.row == title]
        if not own:
            continue
        position = {"x": 0, "y": top, "w": WIDTH * PER_LINE, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "gridPos": position, "panels": []})
        for at, each in enumerate(own):
            place = {"x": at % PER_LINE * WIDTH, "y": top + 1 + at // PER_LINE * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append(_panel(each, len(panels) + 1, place))
        top += 1 + -(-len(own) // PER_LINE) * HEIGHT
    return {
        "uid": "anabranch",
        "title": "Anabranch",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}],
        },
        "panels": panels,
    }


def _panel(each: Shown, number: int, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number,
        "type": "timeseries",
        "title": each.tells + (" (a second)" if each.kind == "counter" else ""),
        "description": each.name,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": _unit(each), "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": "AB"[at], "datasource": source, "expr": expression, "legendFormat": legend}
            for at, (expression, legend) in enumerate(queries(each))
        ],
    }


def _unit(each: Shown) -> str:
    if each.name.endswith("_seconds"):
        return "s"
    return "percentunit" if each.name.endswith("_at_10") else "short"


def page(text: str) -> str:
    """The page with the table as it is to be."""
    return put_between(text, MARK, table())


def main() -> None:
    """Write both."""
    DASHBOARD.write_text(json.dumps(dashboard(), indent=2) + "\n")
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
