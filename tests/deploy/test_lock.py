"""The locked versions are those that pyproject.toml allows."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]


def locked(file: str) -> dict[str, str]:
    """Package -> version."""
    lines = (REPOSITORY / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.lstrip().startswith("#"))


def wanted() -> list[tuple[str, str]]:
    """Each requirement of pyproject.toml, with the lock that is to hold it."""
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    groups = declared["dependency-groups"]
    everyone = [*declared["project"]["dependencies"], *groups["dev"]]
    return [(each, "requirements.lock") for each in everyone] + [(each, "weights.lock") for each in groups["weights"]]


@pytest.mark.parametrize(("requirement", "lock"), wanted())
def test_what_is_asked_for_is_locked(requirement: str, lock: str) -> None:
    asked = Requirement(requirement)
    assert asked.specifier.contains(locked(lock)[asked.name.lower()]), "run: make lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "weights.lock"])
def test_the_lock_leaves_it_to_the_user_where_packages_come_from(lock: str) -> None:
    assert "://" not in (REPOSITORY / lock).read_text()
