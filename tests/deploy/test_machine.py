"""What the machine must have before anything is started."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.local import machine
from deploy.local.machine import MachineLacks


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, program: str, says: str) -> None:
    file = folder / program
    file.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    file.chmod(0o755)


def test_a_machine_that_has_everything_is_fine(tools: Path, tmp_path: Path) -> None:
    install(tools, "java", 'openjdk version "17.0.15" 2025-04-15')
    install(tools, "mvn", "Apache Maven 3.8.7")
    machine.check(tmp_path / "home", fetching=True)


def test_java_is_asked_for_by_its_package(tools: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineLacks, match=r"'java' is needed .* openjdk-17"):
        machine.check(tmp_path, fetching=False)


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21", "21.0.1"])
def test_another_java_is_refused_and_named(tools: Path, tmp_path: Path, version: str) -> None:
    install(tools, "java", f'openjdk version "{version}"')
    with pytest.raises(MachineLacks, match=f'Java 17 is needed, but .*"{version}"'):
        machine.check(tmp_path, fetching=False)


def test_maven_is_needed_only_to_fetch(tools: Path, tmp_path: Path) -> None:
    install(tools, "java", 'openjdk version "17.0.15"')
    machine.check(tmp_path, fetching=False)
    with pytest.raises(MachineLacks, match="'mvn' is needed"):
        machine.check(tmp_path, fetching=True)


def test_a_full_disk_is_said_with_its_place(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tools, "java", 'openjdk version "17.0.15"')
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(MachineLacks, match=f"{tmp_path} has 1.0 GiB free, where 3 are needed"):
        machine.check(tmp_path, fetching=False)
