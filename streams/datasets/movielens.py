"""MovieLens-100k, read from the `recbole` wheel at run time.

F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015. GroupLens allows
research use and no redistribution, so no file of it is part of this project.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

from streams.datasets.dataset import Dataset
from streams.events import Click, Profile, Upload, View

WHEEL = "recbole==1.2.1"
FOLDER = "recbole/dataset_example/ml-100k/"
LIKED = 4.0  # a rating from here on counts as a click, one below as a view


def movielens(downloads: Path) -> Dataset:
    """MovieLens-100k: 1,682 films, 943 users, 100,000 ratings in the order they were given.

    downloads  where the wheel is kept between runs
    """
    folder = downloads / "movielens-100k"
    if not (folder / "ml-100k.inter").exists():
        _fetch(downloads, folder)
    activity = _activity(folder / "ml-100k.inter")
    opened = activity[0].ts
    people = _people(folder / "ml-100k.user", opened)
    return Dataset(
        name="MovieLens-100k",
        uploads=_films(folder / "ml-100k.item", opened),
        profiles=people,
        activity=activity,
        captions={user_id: " · ".join(map(str, (each.traits or {}).values())) for user_id, each in people.items()},
    )


def _fetch(downloads: Path, folder: Path) -> None:
    downloads.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(downloads), WHEEL],
        check=True,
    )
    folder.mkdir(exist_ok=True)
    with ZipFile(next(downloads.glob("recbole-*.whl"))) as wheel:
        for name in ("ml-100k.item", "ml-100k.user", "ml-100k.inter"):
            (folder / name).write_bytes(wheel.read(FOLDER + name))


def _rows(path: Path) -> Iterator[list[str]]:
    lines = iter(path.read_text().splitlines())
    next(lines)
    return (line.split("\t") for line in lines)


def _films(path: Path, at: float) -> list[Upload]:
    return [
        Upload(
            event_id=f"movielens-film-{item}",
            ts=at,
            item_id=item,
            title=f"{title} ({year})" if year else title,
            attributes=genres.split(),
        )
        for item, title, year, genres in _rows(path)
    ]


def _people(path: Path, at: float) -> dict[str, Profile]:
    return {
        user: Profile(
            event_id=f"movielens-user-{user}",
            ts=at,
            user_id=user,
            traits={"age": int(age), "gender": gender, "occupation": occupation},
        )
        for user, age, gender, occupation, _ in _rows(path)
    }


def _activity(path: Path) -> list[Click | View]:
    rated = [(float(at), line, user, item, float(rating)) for line, (user, item, rating, at) in enumerate(_rows(path))]
    return [
        (Click if rating >= LIKED else View)(event_id=f"movielens-rating-{line}", ts=at, user_id=user, item_id=item)
        for at, line, user, item, rating in sorted(rated)
    ]
