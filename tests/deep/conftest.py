"""A recorded world for all tests of this folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.events import Click, Upload, encode
from tests.encoders.training.deep.worlds import two_tastes


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world of two tastes as a file of events."""
    log = two_tastes()
    path = tmp_path_factory.mktemp("log") / "events.jsonl"

    def lines() -> Iterator[str]:
        for number, item_id in enumerate(log.item_ids):
            upload = Upload(event_id=f"u-{number}", ts=1.0, item_id=item_id, title=log.texts[number])
            yield json.dumps({"topic": "events.upload"} | json.loads(encode(upload)))
        for number, (user, item, at) in enumerate(zip(log.users, log.items, log.at.tolist(), strict=True)):
            click = Click(event_id=f"c-{number}", ts=at + 2.0, user_id=f"user-{user}", item_id=log.item_ids[item])
            yield json.dumps({"topic": "events.click"} | json.loads(encode(click)))

    path.write_text("\n".join(lines()))
    return path
