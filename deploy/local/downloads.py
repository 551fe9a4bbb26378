"""Fetches the servers once: Kafka and Cassandra through Maven, Triton out of a Python wheel."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

from streams.errors import AnabranchError

TRITON_WHEEL = "nvidia-pytriton==0.7.0"
HERE = Path(__file__).parent


class DownloadFailed(AnabranchError):
    """A server could not be fetched; the message ends with what the tool said."""


def folder_of(name: str, downloads: Path) -> Path:
    """Where a server's files are, or will be. Each version has its own folder: an old one may be running."""
    origin = TRITON_WHEEL if name == "triton" else (HERE / f"{name}.pom.xml").read_text()
    return downloads / f"{name}-{sha256(origin.encode()).hexdigest()[:8]}"


def fetch(name: str, downloads: Path) -> Path:
    """The folder of a server's files, fetched unless they are there; of many who ask at once, one fetches.

    Kafka's and Cassandra's hold jars; Triton's `bin/tritonserver`, `lib` and `backends`.
    Raises DownloadFailed.
    """
    folder = folder_of(name, downloads)
    with locked(downloads / f"{name}.lock"):
        if not folder.exists():
            fetching = _empty(downloads / f"{name}.part")
            if name == "triton":
                _fetch_triton(fetching)
            else:
                _fetch_jars(name, fetching)
            fetching.rename(folder)
    return folder


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One process at a time; the lock of one that dies is free again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _fetch_jars(name: str, folder: Path) -> None:
    pom = HERE / f"{name}.pom.xml"
    goal = "dependency:copy-dependencies"
    output = f"-DoutputDirectory={folder.resolve()}"
    _run(["mvn", "--quiet", "--batch-mode", "--file", str(pom), goal, output], what=f"{name}'s jars")


def _fetch_triton(folder: Path) -> None:
    download = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        TRITON_WHEEL,
    ]
    _run(download, what="Triton's wheel")
    wheel = next(folder.glob("*.whl"))
    unpacked = folder / "unpacked"
    with ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    server = unpacked / "pytriton" / "tritonserver"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy(server / "python_backend_stubs" / python / "triton_python_backend_stub", backend)
    shutil.copytree(server / "bin", folder / "bin")
    shutil.copytree(unpacked / "nvidia_pytriton.libs", folder / "lib")
    for program in (folder / "bin" / "tritonserver", backend / "triton_python_backend_stub"):
        program.chmod(0o755)
    shutil.rmtree(unpacked)
    wheel.unlink()


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run(command: list[str], *, what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2_000:]
        raise DownloadFailed(f"{what} could not be fetched with {command[0]}:\n{said}")
