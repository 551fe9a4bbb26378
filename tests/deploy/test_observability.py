"""Alerts, dashboard, runbooks and docs tell of the metrics there are, and of no others."""

import json
import re
from typing import Any

import pytest
import yaml

from deploy.observability import DASHBOARD, PAGE, REST, ROOT, dashboard, page, queries, shown

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
SERIES = {each.name + suffix for each in shown() for suffix in ("", "_bucket", "_count", "_sum")}
PROMETHEUS_OWN = {"up", "process_start_time_seconds"}


def of_ours(expression: str) -> set[str]:
    return set(re.findall(r"\banabranch_\w+", expression))


def sections(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_watches_metrics_that_exist_and_says_where_to_read_what_to_do(rule: dict[str, Any]) -> None:
    names = of_ours(rule["expr"])
    assert names <= SERIES and (names or any(own in rule["expr"] for own in PROMETHEUS_OWN))
    target, _, section = rule["annotations"]["runbook"].partition("#")
    assert section in sections((ROOT / target).read_text())
    assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_runbook_is_led_to_by_an_alert() -> None:
    led_to = {rule["annotations"]["runbook"].partition("#")[2] for rule in RULES}
    assert sections((ROOT / "docs" / "runbooks.md").read_text()) - led_to == {"runbooks"}


def test_the_dashboard_is_that_of_the_metrics_there_are() -> None:
    assert json.loads(DASHBOARD.read_text()) == dashboard(), "run: python -m deploy.observability"


def test_no_metric_is_without_a_panel_and_no_panel_without_a_metric() -> None:
    panels = [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]
    asked = [of_ours(target["expr"]) for panel in panels for target in panel["targets"]]
    assert all(names and names <= SERIES for names in asked)
    assert {panel["description"] for panel in panels} == {each.name for each in shown()}
    assert len(panels) == len(shown())


def test_panels_lie_side_by_side_and_every_metric_has_a_row_of_its_own_kind() -> None:
    places = [
        (x, y)
        for panel in dashboard()["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places)) and max(places)[0] < 24
    assert [each.name for each in shown() if each.row == REST] == []


def test_labels_of_a_metric_are_those_of_its_curves() -> None:
    [refused] = [each for each in shown() if each.name == "anabranch_events_rejected_total"]
    rate = "sum by (topic, reason) (rate(anabranch_events_rejected_total[$__rate_interval]))"
    assert list(queries(refused)) == [(rate, "{{topic}} {{reason}}")]


def test_the_table_in_the_docs_is_that_of_the_code() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run: python -m deploy.observability"
