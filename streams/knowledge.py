"""What is known of items, from a CSV or JSON-LD file: who made them, who plays in them, what they belong to.

CSV: a line of names, `item_id` and what is known; then a line an item, of several values with `|` between them.

    item_id,director,actor
    m-1,Ridley Scott,Sigourney Weaver|Tom Skerritt

JSON-LD: items in the words of schema.org, whose `@id` (or `identifier`, `sku`) is the item's.

    {"@graph": [{"@id": "m-1", "@type": "Movie", "director": {"name": "Ridley Scott"}}]}
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streams.errors import AnabranchError

Knowledge = Mapping[str, tuple[str, ...]]
"""Item id -> what is known of it, `name=value` each."""

SCHEMA_ORG = {
    "genre": "genre",
    "director": "director",
    "actor": "actor",
    "author": "author",
    "creator": "creator",
    "byArtist": "artist",
    "brand": "maker",
    "manufacturer": "maker",
    "productionCompany": "maker",
    "publisher": "publisher",
    "isPartOf": "series",
    "partOfSeries": "series",
    "alternateName": "synonym",
    "keywords": "keyword",
}
"""Property -> the name that it has here; others are left out."""

ITEM = "item_id"
BETWEEN = "|"
MAX_VALUE = 100  # characters of `name=value`, as of an upload's attribute
MAX_VALUES = 100  # of an item, likewise


class KnowledgeError(AnabranchError):
    """A file of knowledge cannot be used; the message names the file, the place in it, and what is wrong."""


def read(path: Path) -> Knowledge:
    """What a file knows, `.csv` or `.json`, `.jsonld`. Raises KnowledgeError."""
    readers = {".csv": _from_csv, ".json": _from_json_ld, ".jsonld": _from_json_ld}
    if path.suffix not in readers:
        raise KnowledgeError(f"{path} is none of: {', '.join(readers)}")
    known: dict[str, dict[str, None]] = {}
    try:
        for where, item_id, name, value in readers[path.suffix](path):
            attribute = f"{name}={value}"
            if len(attribute) > MAX_VALUE:
                raise KnowledgeError(f"{path}, {where}: {attribute[:40]!r}... is longer than {MAX_VALUE} characters")
            of_item = known.setdefault(item_id, {})
            of_item[attribute] = None
            if len(of_item) > MAX_VALUES:
                raise KnowledgeError(f"{path}, {where}: of item {item_id!r} more than {MAX_VALUES} things are known")
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{path} cannot be read: {error}") from error
    if not known:
        raise KnowledgeError(f"{path} tells nothing of any item")
    return {item_id: tuple(attributes) for item_id, attributes in known.items()}


def read_if_set(path: Path | None) -> Knowledge:
    """Nothing where no file is set. Raises KnowledgeError."""
    return read(path) if path else {}


def _from_csv(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """(where, item id, name, value) of each thing known."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.reader(lines, strict=True)
        try:
            names = [name.strip() for name in next(rows, [])]
            if ITEM not in names or len(names) < 2 or len(set(names)) < len(names):
                raise KnowledgeError(f"{path}, line 1: {names} are not {ITEM!r} and other names, each once")
            if odd := [name for name in names if not name or "=" in name]:
                raise KnowledgeError(f"{path}, line 1: {odd[0]!r} is no name of an attribute")
            for row in rows:
                where = f"line {rows.line_num}"
                if not row:
                    continue
                if len(row) != len(names):
                    raise KnowledgeError(f"{path}, {where}: {len(row)} values, where line 1 has {len(names)} names")
                cells = dict(zip(names, row, strict=True))
                item_id = cells.pop(ITEM).strip()
                if not item_id:
                    raise KnowledgeError(f"{path}, {where}: {ITEM} is empty")
                for name, cell in cells.items():
                    yield from ((where, item_id, name, each.strip()) for each in cell.split(BETWEEN) if each.strip())
        except csv.Error as error:
            raise KnowledgeError(f"{path}, line {rows.line_num}: {error}") from error


def _from_json_ld(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """(where, item id, name, value) of each thing known."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise KnowledgeError(f"{path} is not JSON: {error}") from error
    nodes = whole.get("@graph", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(nodes, list):
        raise KnowledgeError(f"{path}: '@graph' is no list")
    named: dict[str, str] = {}
    for number, node in enumerate(nodes, 1):
        if not isinstance(node, dict):
            raise KnowledgeError(f"{path}, node {number}: a {type(node).__name__} is no item")
        if isinstance(node.get("@id"), str) and isinstance(name := _plain(node).get("name"), str):
            named[node["@id"]] = name
    for number, node in enumerate(nodes, 1):
        where, properties = f"node {number}", _plain(node)
        if not properties.keys() & SCHEMA_ORG.keys():
            continue  # a person, a maker: what items refer to
        item_id = properties.get("@id") or properties.get("identifier") or properties.get("sku")
        if not isinstance(item_id, str):
            raise KnowledgeError(f"{path}, {where}: it has neither '@id' nor 'identifier' nor 'sku', as text")
        for property_name, value in properties.items():
            if name := SCHEMA_ORG.get(property_name):
                for each in _names(value, named):
                    if each is None:
                        raise KnowledgeError(f"{path}, {where}: {property_name!r} has neither a text nor a 'name'")
                    yield where, item_id, name, each


def _plain(node: Mapping[str, Any]) -> dict[str, Any]:
    """Properties without the name of the vocabulary: `director`, be it `schema:director` or an IRI."""
    return {name.rpartition("/")[2].removeprefix("schema:"): value for name, value in node.items()}


def _names(value: Any, named: Mapping[str, str]) -> Iterator[str | None]:
    """What a value is called: of a text, a thing with a name, or a reference to one; None where it is nothing such."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            plain = _plain(each)
            each = plain.get("name") or plain.get("@value") or named.get(str(each.get("@id")))
        yield each.strip() if isinstance(each, str) and each.strip() else None
