"""The file of rules: what is written is what is meant, and what is wrong is named."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from streams.cli import app
from streams.core.history import History
from streams.core.recommender import Recommender, RecommenderSettings, UserView
from streams.core.rules import Rule, Span
from streams.evaluate.rules import measure
from streams.replica import Replica
from streams.rules import RulesError, RulesFile, read

EXAMPLE = Path(__file__).parents[1] / "docs" / "rules.md"


def rules(tmp_path: Path, text: str) -> list[Rule]:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return read(path)


def one(tmp_path: Path, fields: str) -> Rule:
    [rule] = rules(tmp_path, f"rules: [{{name: r, {fields}}}]")
    return rule


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture
def example() -> str:
    found = re.search(r"```yaml\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_in_the_docs_is_read_and_described(tmp_path: Path, example: str) -> None:
    pin, boost, young, makers, ads = rules(tmp_path, example)
    assert (pin.pin, list(pin.items), boost.boost, young.exclude, makers.cap, makers.per) == (
        1,
        ["m-17"],
        3.0,
        True,
        3,
        "maker",
    )
    assert young.audience == {"age": Span(below=16, or_unknown=True)}
    shown = CliRunner().invoke(app, ["rules", "check", str(tmp_path / "rules.yaml")], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for words in ("cap 3 per maker", "age: below 16 or unknown", "tag: Horror, Gore", "everybody"):
        assert words in shown.output
    assert ads.with_ == {"tag": ["ad"]}


def test_a_rule_holds_from_its_beginning_until_its_end_in_its_zone(tmp_path: Path) -> None:
    rule = one(tmp_path, "exclude: true, from: 2026-12-01, until: 2026-12-02T12:00:00, zone: Europe/Berlin")
    assert not rule.active(at("2026-11-30T22:59:59+00:00")) and rule.active(at("2026-11-30T23:00:00+00:00"))
    assert rule.active(at("2026-12-02T10:59:59+00:00")) and not rule.active(at("2026-12-02T11:00:00+00:00"))


def test_weekly_hours_follow_summer_time(tmp_path: Path) -> None:
    rule = one(tmp_path, 'exclude: true, days: [sat], hours: "18:00-20:00", zone: Europe/Berlin')
    assert rule.active(at("2026-07-04T16:30:00+00:00")) and not rule.active(at("2026-07-04T18:00:00+00:00"))
    assert rule.active(at("2026-12-05T18:30:00+00:00")) and not rule.active(at("2026-12-05T16:30:00+00:00"))
    assert not rule.active(at("2026-07-05T16:30:00+00:00"))


def test_hours_over_midnight_belong_to_the_day_they_began_on(tmp_path: Path) -> None:
    rule = one(tmp_path, 'exclude: true, days: [fri], hours: "22:00-04:00"')
    assert rule.active(at("2026-12-04T23:00:00+00:00")) and rule.active(at("2026-12-05T03:59:00+00:00"))
    assert not rule.active(at("2026-12-05T23:00:00+00:00")) and not rule.active(at("2026-12-04T03:00:00+00:00"))
    all_day = one(tmp_path, "exclude: true, days: [sun]")
    assert all_day.active(datetime(2026, 12, 6, tzinfo=UTC).timestamp())
    assert not all_day.active(datetime(2026, 12, 7, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ("exclude: true, cap: 2", "cap, exclude: a rule does one of pin, boost, exclude and cap"),
        ("items: [a]", "nothing: a rule does one of"),
        ("pin: 0, items: [a]", "pin: Expected `int` >= 1"),
        ("pin: 1", "pin: name items"),
        ("boost: twice", "boost: Expected `float | null`, got `str`"),
        ("boost: -1", "boost: Expected `float` > 0"),
        ("exclude: true, per: maker", "per: only a cap"),
        ("exclude: true, item: [a]", "unknown field `item`"),
        ("exclude: true, with: {language: [en]}", "with.language: rules know attributes alone"),
        ("exclude: true, audience: {age: {above: 3}}", "unknown field `above`"),
        ("exclude: true, audience: {age: {least: 3, below: 3}}", "audience.age: no number"),
        ("exclude: true, zone: Atlantis", "zone: 'Atlantis' is not in the time zone database"),
        ("exclude: true, from: 2026-01-02, until: 2026-01-02", "until: is not after from"),
        ("exclude: true, from: tomorrow", "from"),
        ('exclude: true, hours: "25:00-26:00"', "hours"),
        ('exclude: true, hours: "10:00-10:00"', "hours: begin when they end"),
        ("exclude: true, days: [monday]", "days[0]: Invalid enum value 'monday'"),
    ],
)
def test_a_mistake_is_named_with_file_rule_and_field(tmp_path: Path, fields: str, mistake: str) -> None:
    with pytest.raises(RulesError) as refused:
        one(tmp_path, fields)
    assert str(refused.value).startswith(f"{tmp_path / 'rules.yaml'}, rule 1 ('r'): ")
    assert mistake in str(refused.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RulesError) as refused:
        rules(tmp_path, "rules: [{name: a, pin: 1}, {cap: 1}, {name: b, cap: 1}, {name: b, cap: 2}]")
    first, second, third = str(refused.value).splitlines()
    assert "rule 1 ('a')" in first and "rule 2: Object missing required field `name`" in second
    assert "'b' is given to more than one rule" in third


@pytest.mark.parametrize("text", ["rules: {", "- pin", "rules: 3", "other: []", "rules: []\nmore: 1", "\x00"])
def test_what_is_no_file_of_rules_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RulesError, match=r"rules\.yaml"):
        rules(tmp_path, text)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(RulesError, match=r"nowhere\.yaml: No such file"):
        read(Path("nowhere.yaml"))


def town() -> Recommender:
    recommender = Recommender(RecommenderSettings(capacity=16, sessions=16, session_length=16))
    for item in range(5):
        recommender.put_item(f"item {item}", None, 1e9, ["ad"] if item == 4 else [])
    return recommender


def listed(recommender: Recommender) -> list[str]:
    return [each.item_id for each in recommender.recommend(UserView("ann", History()), 2e9, 5)]


def counted(rule: str) -> float:
    return REGISTRY.get_sample_value("anabranch_rule_uses_total", {"rule": rule}) or 0.0


def test_a_changed_file_is_in_force_at_once_and_one_with_mistakes_changes_nothing(tmp_path: Path) -> None:
    path, recommender = tmp_path / "rules.yaml", town()
    path.write_text("rules: [{name: no ads, exclude: true, with: {tag: [ad]}}]")
    file = RulesFile(path, cast(Replica, SimpleNamespace(recommender=recommender)))
    file.load()
    assert "item 4" not in listed(recommender)

    path.write_text("rules: [{name: no ads, pin: 1}]")
    _touch(path, 1)
    file.refresh()
    assert "item 4" not in listed(recommender)

    path.write_text("rules: [{name: first ad, pin: 1, with: {tag: [ad]}}]")
    _touch(path, 2)
    file.refresh()
    assert listed(recommender)[0] == "item 4"
    path.unlink()
    file.refresh()
    assert listed(recommender)[0] == "item 4", "a file that goes away takes no rule with it"


def test_what_rules_do_is_counted(tmp_path: Path) -> None:
    path, recommender = tmp_path / "rules.yaml", town()
    path.write_text("rules: [{name: counted here, exclude: true, with: {tag: [ad]}}]")
    file = RulesFile(path, cast(Replica, SimpleNamespace(recommender=recommender)))
    file.load()
    for _ in range(3):
        listed(recommender)
    file.refresh()
    file.refresh()
    assert counted("counted here") == 3


def test_what_rules_cost_is_measured_and_leaves_none_behind(tmp_path: Path) -> None:
    recommender = town()
    found = measure(recommender, [UserView("ann", History())], [Rule(name="r", exclude=True, items=["item 1"])], 2e9)
    assert found.plain > 0 and found.ruled > 0 and found.uses == {"r": 1.0}
    assert recommender.rules is None


def _touch(path: Path, seconds: float) -> None:
    """As if it had been written so much later: the clock of a file system may be coarse."""
    os.utime(path, (2e9 + seconds, 2e9 + seconds))
