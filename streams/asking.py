"""`anabranch search`: a query from what was typed, and its answer as a table."""

import time
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from streams.consumer import ask
from streams.errors import AnabranchError
from streams.events import MAX_EVENT_BYTES, Query, SearchResults
from streams.settings import Kafka

MAX_FILE_BYTES = MAX_EVENT_BYTES * 5 // 8  # base64 takes a third more


def query(words: str, media: Mapping[str, str], **fields: Any) -> Query:
    """A query of now.

    media   modality -> URI, or the path of a file, which travels inside the query
    fields  the others of `Query`

    Raises AnabranchError.
    """
    inline = {modality: given if _is_uri(given) else _inline(Path(given)) for modality, given in media.items()}
    return Query(event_id=f"query-{uuid4()}", ts=time.time(), text=words, media=inline, **fields)


def show(kafka: Kafka, asked: Query, console: Console) -> bool:
    """Ask and print what was found; whether anything was. Raises AnabranchError."""
    answer = ask(kafka, asked)
    if answer is None:
        raise AnabranchError(f"no answer from Kafka at {kafka.address}; is a worker running? `anabranch worker`")
    for part, why in answer.refused.items():
        console.print(f"[yellow]{part} was left out:[/] {why}", highlight=False)
    if answer.heard:
        console.print(f"heard: {answer.heard}", highlight=False)
    if answer.did_you_mean:
        console.print(f"did you mean: [bold]{answer.did_you_mean}[/]?", highlight=False)
    if answer.items:
        console.print(table(answer, asked))
    else:
        console.print("nothing was found")
    return bool(answer.items)


def table(answer: SearchResults, asked: Query) -> Table:
    """The items found, and what they can be filtered by."""
    counted = [
        f"{name}: {', '.join(f'{value} ({count})' for value, count in list(values.items())[:5])}"
        for name, values in answer.facets.items()
    ]
    if answer.weights:
        heaviest = sorted(answer.weights.items(), key=lambda one: -one[1])
        counted.append(f"each place counts: {', '.join(f'{ranking} {weight:.2f}' for ranking, weight in heaviest)}")
    shown = Table(title=f"{answer.total} found", caption="\n".join(counted), caption_justify="left")
    for heading in ("", "item", "title", "score", *(["what spoke for it"] if asked.explain else [])):
        shown.add_column(heading)
    for place, item in enumerate(answer.items, asked.offset + 1):
        spoke = ", ".join(f"{ranking} {at}" for ranking, at in sorted(item.places.items(), key=lambda one: one[1]))
        row = [str(place), item.item_id, item.title, f"{item.score:.4f}"]
        shown.add_row(*row, *([spoke] if asked.explain else []))
    return shown


def _is_uri(given: str) -> bool:
    return given.startswith("data:") or "://" in given


def _inline(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AnabranchError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise AnabranchError(
            f"{file} has {len(content)} bytes, where a query holds at most {MAX_FILE_BYTES}; give the URI of a place"
            " that the worker may read"
        )
    return f"data:;base64,{b64encode(content).decode()}"
