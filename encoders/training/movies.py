"""MovieLens-100k with plots and posters, from a folder with `items.jsonl`, `ml-100k.inter` and `posters/`.

`ml-100k.user`, where it is there, tells of the people.

Licences allow research and no redistribution, so the folder is the reader's own; nothing of it is in this project.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LIKED = 4


@dataclass(frozen=True, slots=True)
class Movies:
    """Items and clicks, in the order of time.

    texts    of each item, as the stream would embed them: title, plot, genres and people
    posters  of each item, or None
    users    (clicks,) int64
    items    (clicks,) int64: the place in `texts`
    at       (clicks,) float64: seconds since the epoch
    item_ids of each item
    traits   user -> JSON of what they say of themselves
    """

    texts: list[str]
    posters: list[Path | None]
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    at: NDArray[np.float64]
    item_ids: list[str]
    traits: dict[int, bytes]


def read(folder: Path) -> Movies:
    """A rating of 4 or 5 is a click."""
    records = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    places = {record["item_id"]: place for place, record in enumerate(records)}
    rows = [line.split("\t") for line in (folder / "ml-100k.inter").read_text().splitlines()[1:]]
    clicks = sorted(
        (float(at), int(user), places[item])
        for user, item, rating, at in rows
        if float(rating) >= LIKED and item in places
    )
    fields = ("title", "plot", "genre", "director", "actors")
    return Movies(
        ["\n".join(filter(None, (record.get(field) for field in fields))) for record in records],
        [folder / record["poster"] if record.get("poster") else None for record in records],
        np.array([user for _, user, _ in clicks]),
        np.array([item for _, _, item in clicks]),
        np.array([at for at, _, _ in clicks]),
        [record["item_id"] for record in records],
        _traits(folder / "ml-100k.user"),
    )


def _traits(path: Path) -> dict[int, bytes]:
    if not path.is_file():
        return {}
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return {
        int(user): json.dumps({"age": int(age), "gender": gender, "occupation": occupation}).encode()
        for user, age, gender, occupation, *_ in rows
    }
