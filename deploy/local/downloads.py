"""Fetches the servers once: Kafka and Cassandra through Maven, Triton out of a Python wheel."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from streams.errors import AnabranchError

TRITON_WHEEL = "nvidia-pytriton==0.7.0"
HERE = Path(__file__).parent


class DownloadFailed(AnabranchError):
    """A server could not be fetched; the message ends with what the tool said."""


def maven_jars(name: str, downloads: Path) -> Path:
    """The folder with the jars of `<name>.pom.xml`, fetched unless they are there. Raises DownloadFailed."""
    folder = downloads / name
    if not folder.exists():
        fetching = _fresh(downloads / f"{name}.part")
        _run(
            ["mvn", "-q", "-B", "-f", HERE / f"{name}.pom.xml", "dependency:copy-dependencies",
             f"-DoutputDirectory={fetching.resolve()}"],
            what=f"{name}'s jars",
        )  # fmt: skip
        fetching.rename(folder)
    return folder


def triton_home(downloads: Path) -> Path:
    """The folder with `bin/tritonserver`, `lib` and `backends`, fetched unless it is there. Raises DownloadFailed."""
    folder = downloads / "triton"
    if not folder.exists():
        fetching = _fresh(downloads / "triton.part")
        _run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", fetching, TRITON_WHEEL],
            what="Triton's wheel",
        )
        _lay_out(next(fetching.glob("*.whl")), fetching)
        fetching.rename(folder)
    return folder


def _lay_out(wheel: Path, folder: Path) -> None:
    unpacked = folder / "unpacked"
    with ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    wheel.unlink()
    server = unpacked / "pytriton" / "tritonserver"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy(server / "python_backend_stubs" / python / "triton_python_backend_stub", backend)
    shutil.copytree(server / "bin", folder / "bin")
    shutil.copytree(unpacked / "nvidia_pytriton.libs", folder / "lib")
    shutil.rmtree(unpacked)
    for program in (folder / "bin" / "tritonserver", backend / "triton_python_backend_stub"):
        program.chmod(0o755)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run(command: list[str | Path], *, what: str) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2_000:]
        raise DownloadFailed(f"{what} could not be fetched with {command[0]}:\n{said}")
