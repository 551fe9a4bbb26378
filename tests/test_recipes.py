"""docs/recipes.md: every block is read as a worker reads it, and has an effect."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from streams import rules
from streams.evaluate.log import read as read_log
from streams.events import read
from streams.settings import load

PAGE = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text()
RECIPES = {name: text for name, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)}
NOW = 1_765_000_000.0


def block(recipe: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", RECIPES[recipe], re.DOTALL)
    return str(found)


def events(recipe: str) -> list[tuple[str, Mapping[str, object]]]:
    found = [json.loads(line) for line in block(recipe, "json").splitlines()]
    return [(each.pop("topic"), each) for each in found]


def variables(recipe: str) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in block(recipe, "ini").splitlines())


def attribute_names(recipe: str) -> set[str]:
    uploads = [event for topic, event in events(recipe) if topic == "events.upload"]
    said = [str(each) for upload in uploads for each in upload.get("attributes", [])]  # type: ignore[attr-defined]
    return {each.partition("=")[0] if "=" in each else "tag" for each in said}


def test_there_is_one_for_each_domain() -> None:
    assert len(RECIPES) == 10


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_variable_is_a_setting_and_changes_it(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_HOME", str(tmp_path))
    usual = load()
    for key, value in variables(recipe).items():
        monkeypatch.setenv(key, value)
    ours = load()
    for key in variables(recipe):
        group, _, name = key.removeprefix("ANABRANCH_").lower().partition("__")
        assert getattr(getattr(ours, group), name) != getattr(getattr(usual, group), name), key


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_event_is_taken(recipe: str) -> None:
    told = events(recipe)
    assert {"events.upload"} < {topic for topic, _ in told}
    for topic, event in told:
        read(topic, msgspec.json.encode(event), now=NOW)
    assert len({event["event_id"] for _, event in told}) == len(told)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_events_can_be_replayed_offline(recipe: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(block(recipe, "json"))
    assert read_log(file).touches


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_event_is_about_an_item_that_was_uploaded(recipe: str) -> None:
    uploaded = {event["item_id"] for topic, event in events(recipe) if topic == "events.upload"}
    assert {event["item_id"] for _, event in events(recipe) if "item_id" in event} == uploaded


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_rule_is_about_attributes_and_traits_that_the_events_have(recipe: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(block(recipe, "yaml"))
    found = rules.read(file)
    assert found
    traits = {
        name
        for topic, event in events(recipe)
        if topic == "events.profile"
        for name in event["traits"]  # type: ignore[attr-defined]
    }
    for written in msgspec.yaml.decode(block(recipe, "yaml"))["rules"]:
        named = {*written.get("with", {}), *([written["per"]] if "per" in written else [])}
        assert named <= attribute_names(recipe), written["name"]
        assert set(written.get("audience", {})) <= traits, written["name"]


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "_PER=" in RECIPES[name]])
def test_what_is_kept_in_proportion_or_limited_is_an_attribute_that_items_have(recipe: str) -> None:
    per = {value for key, value in variables(recipe).items() if key.endswith("_PER")}
    assert per <= attribute_names(recipe)
