"""Programs of different versions understand each other: what one writes, the other reads, whichever is older.

`version_1` has the schemas of all messages as they were promised; they are never changed, only added to (`version_2`),
with `VERSION`. What the program of then wrote is drawn from them, and what that of now writes is held against them.
"""

import base64
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator

from streams.events import MESSAGE_TYPES, VERSION, encode, schemas

Schema = dict[str, Any]
PROMISED = Path(__file__).parent / f"version_{VERSION}"
THEN = {path.stem: json.loads(path.read_text()) for path in sorted(PROMISED.glob("*.json"))}
EXAMPLES = 200
WORDS = ("", "alien", "a b", "ß☃", "\u2028", "z" * 40)


def drawn(schema: Schema, chance: random.Random, whole: Schema) -> Any:
    """A value that the schema allows."""
    if "$ref" in schema:
        return drawn(whole["$defs"][schema["$ref"].rpartition("/")[2]], chance, whole)
    if "anyOf" in schema:
        return drawn(chance.choice(schema["anyOf"]), chance, whole)
    match schema.get("type"):
        case "object" if "properties" in schema:
            required = schema.get("required", [])
            return {
                name: drawn(each, chance, whole)
                for name, each in schema["properties"].items()
                if name in required or chance.random() < 0.5
            }
        case "object":
            names = schema.get("propertyNames", {"type": "string", "minLength": 1})
            return {
                drawn(names, chance, whole): drawn(schema["additionalProperties"], chance, whole)
                for _ in range(chance.randrange(3))
            }
        case "array":
            least = schema.get("minItems", 0)
            return [drawn(schema["items"], chance, whole) for _ in range(least + chance.randrange(3))]
        case "string" if schema.get("contentEncoding") == "base64":
            return base64.b64encode(chance.randbytes(4 * chance.randrange(4))).decode()
        case "string" | None if "maxLength" in schema or "type" in schema:
            long_enough = [word for word in WORDS if len(word) >= schema.get("minLength", 0)]
            return chance.choice(long_enough)
        case "integer":
            low = schema.get("minimum", -5)
            return chance.randint(low, min(schema.get("maximum", low + 1_000), low + 1_000))
        case "number":
            return chance.uniform(schema.get("minimum", 0.1), schema.get("maximum", 2e9))
        case "boolean":
            return chance.random() < 0.5
        case "null":
            return None
    raise AssertionError(f"a schema that this test cannot draw from: {schema}")


def messages(schema: Schema) -> list[dict[str, Any]]:
    chance = random.Random(1)
    made = [drawn(schema, chance, schema) for _ in range(EXAMPLES)]
    for each in made:
        if "version" in each:
            each["version"] = VERSION
    return made


def test_every_message_that_was_promised_is_still_there() -> None:
    assert THEN.keys() <= MESSAGE_TYPES.keys()


@pytest.mark.parametrize("topic", THEN)
def test_what_programs_of_then_wrote_those_of_now_read(topic: str) -> None:
    for message in messages(THEN[topic]):
        now = json.loads(encode(msgspec.json.decode(json.dumps(message), type=MESSAGE_TYPES[topic])))
        for name, value in message.items():
            assert name not in now or isinstance(value, dict | list) or now[name] == value


@pytest.mark.parametrize("topic", THEN)
def test_what_programs_of_now_write_those_of_then_read(topic: str) -> None:
    assert not refused(THEN[topic], schemas()[topic], MESSAGE_TYPES[topic])


def refused(then: Schema, now: Schema, kind: type[msgspec.Struct]) -> list[str]:
    """Why a reader of then does not take what is written now."""
    reader = Draft202012Validator(then)
    written = (json.loads(encode(msgspec.json.decode(json.dumps(each), type=kind))) for each in messages(now))
    return [str(problem) for message in written for problem in reader.iter_errors(message)]


@pytest.mark.parametrize("topic", THEN)
def test_what_newer_programs_add_is_passed_over_wherever_it_stands(topic: str) -> None:
    kind = MESSAGE_TYPES[topic]
    for message in messages(THEN[topic]):
        more = with_more(message, THEN[topic], THEN[topic])
        assert more != message
        assert msgspec.json.decode(json.dumps(more), type=kind) == msgspec.json.decode(json.dumps(message), type=kind)


def with_more(value: Any, schema: Schema, whole: Schema) -> Any:
    """The value with a member that nobody knows, in each of its objects that have named ones."""
    if "$ref" in schema:
        return with_more(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        objects = [each for each in schema["anyOf"] if "$ref" in each]
        return with_more(value, objects[0], whole) if objects and isinstance(value, dict) else value
    if isinstance(value, list):
        return [with_more(each, schema["items"], whole) for each in value]
    if "properties" in schema:
        known = schema["properties"]
        return {name: with_more(each, known[name], whole) for name, each in value.items()} | {"novel": {"a": [1]}}
    return value


class Before(msgspec.Struct):
    """What was promised once, in the test of this test."""

    name: str
    size: int = 0


@pytest.mark.parametrize(
    "fields",
    [
        [("name", str, ""), ("more", str, "")],
        [("name", str), ("size", int, 0), ("more", list[str], [])],
    ],
)
def test_what_is_only_added_breaks_no_reader(fields: list[Any]) -> None:
    after = msgspec.defstruct("After", fields)
    assert not refused(msgspec.json.schema(Before), msgspec.json.schema(after), after)


@pytest.mark.parametrize(
    "fields",
    [
        [("size", int, 0)],
        [("name", int)],
        [("name", str), ("size", str, "")],
        [("name", str | None)],
    ],
    ids=["gone", "another type", "another type of what may be absent", "may be null"],
)
def test_what_takes_away_or_changes_is_noticed(fields: list[Any]) -> None:
    after = msgspec.defstruct("After", fields)
    assert refused(msgspec.json.schema(Before), msgspec.json.schema(after), after)
