"""docs/recipes.md: every block is read as a worker reads it, and has an effect."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from streams import rules
from streams.core.history import History
from streams.core.recommender import Interaction, Recommender, UserView
from streams.core.rules import RuleBook
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


KNOWN, FRESH = 60, 10


class World:
    """A recipe's settings and rules over a small log: items 0 to 59, the lower the more clicked, then ten untouched.

    attributes  of the item with a number
    """

    def __init__(self, recipe: str, folder: Path, attributes: Callable[[int], Sequence[str]]) -> None:
        file = folder / "rules.yaml"
        file.write_text(block(recipe, "yaml"))
        with pytest.MonkeyPatch.context() as environment:
            for key, value in variables(recipe).items():
                environment.setenv(key, value)
            settings = load(home=folder)
        self.length = settings.worker.list_length
        self._recommender = Recommender(settings.recommender)
        self._attributes = attributes
        for item in range(KNOWN):
            self._recommender.put_item(str(item), None, NOW, attributes(item))
            for user in range(70 - item):
                self._recommender.learn(Interaction(f"{item} {user}", f"user {user}", str(item), NOW + item, 1.0))
        for item in range(KNOWN, KNOWN + FRESH):
            self._recommender.put_item(str(item), None, NOW + 60, attributes(item))
        self._recommender.rules = RuleBook(rules.read(file), self._recommender.catalogue)

    def listed(self, at: float = NOW + 120, **traits: object) -> list[int]:
        """The list of somebody who has clicked nothing yet."""
        view = UserView("newcomer", History(), traits=msgspec.json.encode(traits))
        return [int(each.item_id) for each in self._recommender.recommend(view, at, self.length)]

    def most(self, name: str) -> int:
        """Of items of a list that share a value of an attribute."""
        values = [value for item in self.listed() for value in self._attributes(item) if value.startswith(f"{name}=")]
        return max(Counter(values).values())


def at_berlin(hour: int, month: int = 12) -> float:
    """In 2026."""
    return datetime(2026, month, 7, hour, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("recipe", "name", "most"),
    [
        ("E-commerce", "brand", 3),
        ("Music", "artist", 2),
        ("News", "section", 5),
        ("Advertising", "advertiser", 1),
        ("Social networks", "author", 2),
        ("Games", "platform", 10),
    ],
)
def test_no_more_of_one_kind_are_listed_than_the_recipe_says(recipe: str, name: str, most: int, tmp_path: Path) -> None:
    # The most popular are all of one kind, so that without the rule it would fill the list.
    world = World(recipe, tmp_path, lambda item: [f"{name}={'large' if item < 25 else f'small {item}'}"])
    assert world.most(name) == most and len(world.listed()) > most


def test_what_is_not_for_the_young_is_for_who_says_that_they_are_older(tmp_path: Path) -> None:
    for recipe, attribute, age in (("Video", "age=16", 16), ("Advertising", "product=Alcohol", 18)):
        world = World(recipe, tmp_path, lambda item, named=attribute: [named] if item % 2 == 0 else [])  # type: ignore[misc]
        for traits in ({}, {"age": age - 1}):
            listed = world.listed(**traits)
            assert listed and all(item % 2 for item in listed), (recipe, traits)
        assert any(item % 2 == 0 for item in world.listed(age=age)), recipe


def test_news_that_nobody_has_read_are_listed_at_once_and_what_is_breaking_comes_sooner(tmp_path: Path) -> None:
    listed = World("News", tmp_path, lambda item: [f"section={item % 8}"]).listed()
    assert sum(item >= KNOWN for item in listed) == 4 and len(listed) == 20
    breaking = World(
        "News", tmp_path, lambda item: [f"section={item % 8}", *(["Breaking"] if item == 40 else [])]
    ).listed()
    assert 40 not in listed and 40 in breaking


def test_a_post_that_was_reported_is_listed_for_nobody(tmp_path: Path) -> None:
    world = World("Social networks", tmp_path, lambda item: [f"author={item}", *(["state=reported"] * (item < 5))])
    assert min(world.listed()) == 5


def test_winter_is_listed_sooner_in_winter(tmp_path: Path) -> None:
    world = World(
        "Travel", tmp_path, lambda item: [f"region={item % 9}", f"season={'Winter' if item == 8 else 'Summer'}"]
    )
    assert world.listed(at_berlin(12)).index(8) < world.listed(at_berlin(12, month=8)).index(8)


def test_at_night_nothing_loud_is_proposed(tmp_path: Path) -> None:
    world = World("Smart speakers and home", tmp_path, lambda item: ["loudness=loud" if item % 2 else "loudness=quiet"])
    assert any(item % 2 for item in world.listed(at_berlin(12)))
    for hour in (22, 3):
        listed = world.listed(at_berlin(hour))
        assert len(listed) == 5 and not any(item % 2 for item in listed)


def test_of_medical_information_nothing_unreviewed_or_untried_is_listed_and_guidelines_are_for_professionals(
    tmp_path: Path,
) -> None:
    def attributes(item: int) -> list[str]:
        review = ("done", "pending", "expired")[item % 3]
        return [f"review={review}", "for=professionals" if item % 2 else "for=patients"]

    world = World("Medical information", tmp_path, attributes)
    patient, doctor = world.listed(role="patient"), world.listed(role="doctor")
    assert len(patient) == len(doctor) == 10
    assert all(item % 3 == 0 and item < KNOWN for item in (*patient, *doctor))
    assert not any(item % 2 for item in patient) and any(item % 2 for item in doctor)
