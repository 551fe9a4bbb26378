"""`anabranch topics`."""

import json
from pathlib import Path

import typer
from rich.table import Table

from streams.cli.common import console
from streams.settings import load

app = typer.Typer(no_args_is_help=True, help="The topics and their schemas.")


@app.command("list")
def list_topics() -> None:
    """Show every topic: what it carries, its key, what is kept."""
    from streams.topics import TOPICS

    table = Table()
    retention = load().retention
    for heading in ("topic", "key", "carries", "kept"):
        table.add_column(heading)
    for topic in TOPICS:
        table.add_row(topic.name, topic.keyed_by, topic.purpose, topic.kept_for(retention))
    console.print(table)


@app.command("create")
def create_topics() -> None:
    """Create the topics that are missing, and have all kept as long as is set."""
    from streams import topics
    from streams.adapters import schema

    settings = load()
    created = topics.create(settings, schema.holder(settings.cassandra).items_topic)
    console.print(f"created: {', '.join(created) or 'nothing, all were there'}")


@app.command("schemas")
def write_schemas(folder: Path) -> None:
    """Write the JSON Schema of every topic into a folder."""
    from streams.events import schemas

    folder.mkdir(parents=True, exist_ok=True)
    for topic, schema in schemas().items():
        (folder / f"{topic}.json").write_text(json.dumps(schema, indent=2) + "\n")
    console.print(f"wrote {len(schemas())} schemas to {folder}")
