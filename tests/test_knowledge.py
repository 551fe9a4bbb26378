"""Files of knowledge are read as they are meant, or refused with the place of the mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.core.memory.settings import KNOWLEDGE
from streams.knowledge import KnowledgeError, read
from streams.settings import load

ALIEN = ("director=Ridley Scott", "actor=Sigourney Weaver", "actor=Tom Skerritt")


def write(folder: Path, name: str, content: str) -> Path:
    file = folder / name
    file.write_text(content)
    return file


def test_of_csv_each_line_is_an_item_and_several_values_stand_apart(tmp_path: Path) -> None:
    lines = "item_id,director,actor\nm-1,Ridley Scott,Sigourney Weaver| Tom Skerritt\n\nm-2,,\n"
    assert read(write(tmp_path, "films.csv", lines)) == {"m-1": ALIEN}


@pytest.mark.parametrize("wrapped", [True, False], ids=["graph", "list"])
def test_of_json_ld_the_words_of_schema_org_are_known_and_things_are_called_by_their_names(
    tmp_path: Path, wrapped: bool
) -> None:
    nodes: list[dict[str, Any]] = [
        {"@id": "p-1", "@type": "Person", "name": "Ridley Scott"},
        {
            "@id": "m-1",
            "@type": "Movie",
            "name": "Alien",
            "director": {"@id": "p-1"},
            "schema:actor": [{"name": "Sigourney Weaver"}, "Tom Skerritt"],
            "duration": "PT117M",
        },
        {"sku": "b-1", "https://schema.org/brand": {"name": "Acme"}, "alternateName": ["Best"]},
    ]
    whole = {"@context": "https://schema.org", "@graph": nodes} if wrapped else nodes
    known = read(write(tmp_path, "films.jsonld", json.dumps(whole)))
    assert known == {"m-1": ALIEN, "b-1": ("maker=Acme", "synonym=Best")}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "film,director\nm-1,x\n", "line 1: .* 'item_id'"),
        ("a.csv", "item_id,a=b\nm-1,x\n", "line 1: 'a=b' is no name"),
        ("a.csv", "item_id,director\nm-1,x\nm-2\n", "line 3: 1 values, where line 1 has 2"),
        ("a.csv", "item_id,director\n ,x\n", "line 2: item_id is empty"),
        ("a.csv", f"item_id,director\nm-1,{'x' * 100}\n", "line 2: .* is longer than 100"),
        ("a.csv", "item_id,director\nm-1," + "|".join(map(str, range(101))), "line 2: .* more than 100"),
        ("a.csv", "item_id,director\nm-1,\n", "tells nothing"),
        ("a.csv", 'item_id,director\nm-1,"x\n', "line 2"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[7]", "node 1: a int is no item"),
        ("a.json", '[{"name": "x"}, {"director": "Ada"}]', "node 2: it has neither '@id'"),
        ("a.json", '[{"@id": "m-1", "director": {"@id": "p-9"}}]', "node 1: 'director' has neither"),
        ("a.json", '[{"@id": "m-1", "director": 7}]', "node 1: 'director' has neither"),
        ("a.txt", "", "none of: .csv, .json, .jsonld"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, name: str, content: str, told: str) -> None:
    with pytest.raises(KnowledgeError, match=told):
        read(write(tmp_path, name, content))


def test_a_file_that_is_set_gives_the_expert_a_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KNOWLEDGE not in load().recommender.experts
    monkeypatch.setenv("ANABRANCH_WORKER__KNOWLEDGE_FILE", str(write(tmp_path, "a.csv", "item_id,x\nm,1\n")))
    assert load().recommender.experts[-1] == KNOWLEDGE
