"""`anabranch experiments`: what it prints, and what it says of a file that it cannot use."""

import asyncio
import json
from itertools import count
from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from streams.cli import app
from streams.core.experiments.analysis import GUARD_RAILS
from streams.core.experiments.plan import read
from streams.events import Outcome
from streams.experiments import UnreadableOutcomes, recorded
from streams.plan import UnusablePlan, read_plan
from streams.web.experiments import Watcher
from tests.deep import versions

PLAN = "layers: {l: {colour: {arms: {red: {}, blue: {list_length: 10}}}}}"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def outcomes(count: int, blue: int, red: int) -> list[Outcome]:
    """Of so many users an arm, of whom every `blue`th or `red`th clicks the first of two lists."""
    made = []
    for n in range(count):
        for arm, every in (("red", red), ("blue", blue)):
            for version in (1, 2):
                outcome = Outcome(
                    user=f"{arm} {n}",
                    at=1.0,
                    list_version=version,
                    variants={"colour": arm},
                    items=20,
                    seconds=0.1,
                    before={"colour": arm} if version == 2 else {},
                    place=int(version == 2 and n % every == 0),
                )
                made.append(outcome)
    return made


def test_a_check_shows_who_gets_what_and_the_arm_of_a_user(plan: Path) -> None:
    shown = CliRunner().invoke(app, ["experiments", "check", str(plan), "--user", "ada"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    rows = [line for line in shown.output.splitlines() if "colour" in line]
    assert all("50.0%" in row for row in rows) and sum("ada" in row for row in rows) == 1
    assert "list_length=10" in rows[1]


def test_a_check_says_which_version_was_never_shipped_and_which_is_to_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(tmp_path))
    plan = tmp_path / "plan.yaml"
    plan.write_text("layers: {l: {deep: {arms: {usual: {}, new: {model_version: 1}}}}}")
    refused = CliRunner().invoke(app, ["experiments", "check", str(plan)])
    assert "l.deep.new: version 1 of the deep ranker was never shipped; there are: none" in str(refused.exception)
    versions.version(tmp_path / "models" / "versions" / "1")
    shown = CliRunner().invoke(app, ["experiments", "check", str(plan)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "anabranch models load 1" in shown.output and "model_version=1" in shown.output


def test_a_report_of_recorded_outcomes_names_the_better_arm(plan: Path, tmp_path: Path) -> None:
    log = tmp_path / "outcomes.jsonl"
    log.write_bytes(b"\n".join(map(msgspec.json.encode, outcomes(400, blue=2, red=4))))
    command = ["experiments", "report", str(plan), "--log", str(log)]
    shown = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    [blue] = [line for line in shown.output.splitlines() if "blue" in line]
    assert "+100.0%" in blue and "better" in blue
    [found] = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    assert [arm["verdict"] for arm in found["arms"]] == ["control", "better"]


def test_a_simulation_tells_of_every_world(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    shown = CliRunner().invoke(app, ["experiments", "simulate", "--runs", "1", "--report", str(page)])
    assert shown.exit_code == 0
    assert "| 10% better | 10,000 | 100,000 | 1 |" in page.read_text()


def test_a_plan_or_outcomes_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    with pytest.raises(UnusablePlan, match=r"bad: .*No such file"):
        read_plan(bad)
    bad.write_text("layers: {l: {colour: {arms: {red: {}}}}}")
    with pytest.raises(UnusablePlan, match=r"bad: l.colour: 1 arms, where 2 or more"):
        read_plan(bad)
    bad.write_text('{"user": 1}')
    with pytest.raises(UnreadableOutcomes, match="bad, line 1: wrong_type: Expected `str`, got `int`"):
        list(recorded(bad))


def gauges(name: str) -> dict[tuple[str, ...], float]:
    """Labels -> value."""
    [family] = [each for each in REGISTRY.collect() if each.name == f"anabranch_experiment_{name}"]
    return {tuple(each.labels.values()): each.value for each in family.samples}


async def test_alarms_are_metrics_without_anybody_asking_for_the_report() -> None:
    old = "old: {share: 0.1, stopped: true, arms: {a: {}, b: {}}}"
    plan = read(f"layers: {{l: {{colour: {{share: 0.9, arms: {{red: {{}}, blue: {{}}}}}}, {old}}}}}")
    watcher = Watcher(plan, clock=count(0.0, 10.0).__next__)
    for each in outcomes(400, blue=3, red=3):
        watcher.take(msgspec.json.encode(each))
    await show(watcher)
    assert gauges("mismatch")["colour",] > 0.001 and ("old",) not in gauges("mismatch")
    assert gauges("guard_rail_broken") == {("colour", "blue", rail.name): 0.0 for rail in GUARD_RAILS}
    for each in outcomes(900, blue=3, red=3):  # of whom only those with a blue list come through, and slowly
        if each.variants["colour"] == "blue":
            watcher.take(msgspec.json.encode(structs.replace(each, user=f"late {each.user}", seconds=2.0)))
    moved = structs.replace(outcomes(1, blue=3, red=3)[0], user="blue 1", list_version=3)
    watcher.take(msgspec.json.encode(moved))
    await show(watcher)
    assert gauges("mismatch")["colour",] < 0.001
    assert gauges("guard_rail_broken")["colour", "blue", "seconds from event to list"] == 1.0
    assert gauges("users_in_several_arms") == {("colour",): 1.0}


async def show(watcher: Watcher) -> None:
    """Let it set the gauges once."""
    showing = asyncio.create_task(watcher.show())
    await asyncio.sleep(0)
    showing.cancel()
