"""A recorded world for all tests of this folder."""

from pathlib import Path

import pytest

from tests.encoders.training.deep.worlds import events, lines, two_tastes


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world of two tastes as a file of events."""
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    path.write_text(lines(events(two_tastes(), since=0.0)))
    return path
