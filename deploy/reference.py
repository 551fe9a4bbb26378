"""The pages of docs/reference, from the code: settings, commands, topics, HTTP.

`python -m deploy.reference` writes them.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from pydantic import BaseModel, SecretStr
from typer.main import get_command

from streams.cli import app
from streams.events import EVENT_TYPES, MESSAGE_TYPES
from streams.settings import PREFIX, Retention, Settings
from streams.topics import TOPICS
from streams.web.api import Api

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
MADE = "<!-- Made by `python -m deploy.reference`. -->"


def pages() -> dict[str, str]:
    """File name -> what is to be in it."""
    return {"settings.md": settings(), "commands.md": commands(), "topics.md": topics(), "http.md": http()}


def settings() -> str:
    """Every setting: its variable, what it is without one, what is allowed."""
    lines = _page("Settings", "`-` is unset. How they are read: [operations.md](../operations.md#settings).")
    general = [name for name, field in Settings.model_fields.items() if not isinstance(field.default, BaseModel)]
    lines += _table(("variable", "default", "allowed", ""), _settings_of(Settings, PREFIX, general))
    for name, field in Settings.model_fields.items():
        if isinstance(group := field.default, BaseModel):
            about = (type(group).__doc__ or "").split("\n\n")[0]
            lines += ["", f"## {name.capitalize()}", "", " ".join(about.split()), ""]
            fields = type(group).model_fields
            rows = _settings_of(type(group), f"{PREFIX}{name.upper()}__", fields)
            lines += _table(("variable", "default", "allowed", ""), rows)
    return "\n".join(lines) + "\n"


def _settings_of(group: type[BaseModel], prefix: str, names: Any) -> Iterator[tuple[str, ...]]:
    told = {name: text for kind in reversed(group.__mro__) for name, text in descriptions(kind.__doc__ or "").items()}
    schema = group.model_json_schema()
    for name in names:
        default = _shown(group.model_fields[name].default)
        allowed = _allowed(schema["properties"][name], schema.get("$defs", {}))
        yield f"`{prefix}{name.upper()}`", default, allowed, told.get(name, "")


def descriptions(docstring: str) -> dict[str, str]:
    """What a docstring says of each name.

    >>> descriptions('''What it is.
    ...
    ...     one   of two
    ...     two   the other, which
    ...           takes longer to say
    ... ''')
    {'one': 'of two', 'two': 'the other, which takes longer to say'}
    """
    found: dict[str, str] = {}
    name = ""
    for line in docstring.split("\n\n", 1)[-1].splitlines():
        if begins := re.match(r" {4}([a-z_]+) +(\S.*)$", line):
            name = begins[1]
            found[name] = begins[2]
        elif name and re.match(r" {8,}\S", line):
            found[name] += " " + line.strip()
        else:
            name = ""
    return found


def _shown(default: object) -> str:
    if default is None or isinstance(default, SecretStr) or default in ("", (), frozenset()):
        return "-"
    if isinstance(default, frozenset):
        default = sorted(default)
    if isinstance(default, (dict, list)):
        return f"`{msgspec.json.encode(default).decode()}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _allowed(schema: dict[str, Any], shared: dict[str, Any]) -> str:
    """A JSON Schema in words."""
    if "$ref" in schema:
        schema = shared[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(_allowed(each, shared) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return "JSON list"
    if schema.get("type") == "object":
        return "JSON object"
    kind = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`"}.get(schema.get("type", ""), "")
    kind = kind or {"file-path": "file", "path": "path", "password": "secret"}.get(schema.get("format", ""), "text")
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    limits = " ".join(f"{words[key]} {schema[key]}" for key in words if key in schema)
    return f"{kind} {limits}".strip() + (f", `{schema['pattern']}`".replace("|", "\\|") if "pattern" in schema else "")


def commands() -> str:
    """Every command, with its options."""
    lines = _page("Commands", "What to do with them: [operations.md](../operations.md).")
    root: Any = get_command(app)
    for name, command in _commands(root):
        parameters = [each for each in command.params if getattr(each, "name", "") != "help"]
        arguments = " ".join(_argument(each) for each in parameters if each.param_type_name == "argument")
        lines += [f"## anabranch {name}", "", f"`anabranch {name} {arguments}".rstrip() + "`", ""]
        lines += [" ".join((command.help or "").split()), ""]
        options = [each for each in parameters if each.param_type_name == "option"]
        if options:
            lines += [*_table(("option", "default", ""), map(_option, options)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _argument(each: Any) -> str:
    name = str(each.name).upper()
    return name if each.required else f"[{name}]"


def _option(each: Any) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
    default = each.default.value if isinstance(each.default, Enum) else each.default
    unset = each.is_flag or default is None or callable(default) or default in ((), [])
    return names, "-" if unset else f"`{default}`", str(each.help or "")


def topics() -> str:
    """Every topic, and the fields of what it carries."""
    lines = _page("Topics", "As JSON Schema: the files of `docs/schemas`. What is promised: [events.md](../events.md).")
    for topic in TOPICS:
        kept = topic.kept_for(Retention())
        kept += f" (`{PREFIX}RETENTION__{topic.kept.upper()}`)" if topic.kept else ""
        partitions = "one partition" if topic.ordered else "`ANABRANCH_KAFKA__PARTITIONS` partitions"
        told = topic.purpose[0].upper() + topic.purpose[1:]
        lines += [f"## {topic.name}", "", f"{told}. Key: {topic.keyed_by}; kept: {kept}; {partitions}.", ""]
        if kind := MESSAGE_TYPES.get(topic.name):
            lines += [*_table(("field", "type", "default", ""), _fields(kind)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _fields(kind: type[Struct]) -> Iterator[tuple[str, ...]]:
    told = {name: text for each in reversed(kind.__mro__) for name, text in descriptions(each.__doc__ or "").items()}
    _, components = msgspec.json.schema_components([kind])
    for field in msgspec.structs.fields(kind):
        schema = components[kind.__name__]["properties"][field.encode_name]
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        shown = "needed" if default is msgspec.NODEFAULT else f"`{msgspec.json.encode(default).decode()}`"
        yield f"`{field.encode_name}`", _json_type(schema), shown, told.get(field.name, "")


def _json_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_json_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{each}"' for each in schema["enum"])
    kind = str(schema.get("type", "any"))
    return f"array of {_json_type(schema['items'])}" if kind == "array" and "items" in schema else kind


def http() -> str:
    """Everything that can be asked over HTTP."""
    lines = _page("HTTP API", "For programs: `GET /openapi.json`. How to use it: [http.md](../http.md).")
    nothing: Any = None
    api = Api(
        reader=nothing, shelf=nothing, feed=nothing, flow=nothing, sink=nothing, media=nothing, search=nothing,
        experiments=nothing,
    )  # fmt: skip
    rows = []
    for each in api.endpoints():
        asked = [f"`{field.name}`" for field in msgspec.structs.fields(each.query)] if each.query else []
        sent = each.body.__name__ if each.body else ", ".join(asked)
        answer = each.answer.__name__ if isinstance(each.answer, type) else ", ".join(each.answer)
        rows.append((f"`{each.method} {each.path}`", each.summary, f"`{each.role}`", sent, f"{each.status} {answer}"))
    lines += _table(("", "answers", "role", "takes", "with"), rows)
    kinds = {each.answer for each in api.endpoints() if isinstance(each.answer, type)}
    bodies = {each.body for each in api.endpoints() if each.body} - set(EVENT_TYPES.values())
    for kind in sorted(kinds | bodies, key=lambda each: each.__name__):
        told = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        lines += ["", f"## {kind.__name__}", "", told, "", *_table(("field", "type", "default", ""), _fields(kind))]
    return "\n".join(lines) + "\n"


def _page(title: str, about: str) -> list[str]:
    return [f"# {title}", "", MADE, "", about, ""]


def _table(headings: Sequence[str], rows: Any) -> list[str]:
    cells = [tuple(each.replace("\n", " ") for each in row) for row in rows]
    return [f"| {' | '.join(row)} |" for row in (headings, ("---",) * len(headings), *cells)]


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
