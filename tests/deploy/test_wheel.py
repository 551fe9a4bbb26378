"""The wheel: what is installed from it is whole, wherever it is installed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("streams", "encoders", "deploy", "triton_models")
ONLY_HERE = {"docker", "k8s", "prometheus", "grafana"}  # of deploy: for who has the repository
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, and nothing else of this project."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    built = subprocess.run([sys.executable, "-c", BUILD, "."], cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_everything_that_is_read_at_run_time_is_in_the_wheel(installed: Path) -> None:
    def files(root: Path) -> set[Path]:
        found = {file.relative_to(root) for name in PACKAGES for file in (root / name).rglob("*") if file.is_file()}
        return {
            file
            for file in found
            if file.suffix != ".pyc" and not (file.parts[0] == "deploy" and file.parts[1] in ONLY_HERE)
        }

    assert files(installed) == files(REPOSITORY)


def test_the_command_runs_where_there_is_no_repository(installed: Path, tmp_path: Path) -> None:
    program = (
        "import streams.cli, streams.adapters.schema as schema, streams.web.application as application\n"
        "from deploy.local import downloads, triton\n"
        "print(streams.cli.__file__, schema.SCHEMA, application.PAGE / 'index.html', triton.MODELS, downloads.HERE)\n"
        "streams.cli.main()"
    )
    environment = os.environ | {"PYTHONPATH": str(installed), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "--help"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    places, _, shown = done.stdout.partition("\n")
    for place in places.split():
        assert Path(place).exists() and Path(place).is_relative_to(installed)
    assert "worker" in shown and "serve" in shown


def test_the_wheel_names_the_command_and_its_licence(installed: Path) -> None:
    (about,) = installed.glob("anabranch-*.dist-info")
    assert "anabranch = streams.cli:main" in (about / "entry_points.txt").read_text()
    assert (about / "licenses" / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
