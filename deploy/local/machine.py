"""What the machine must have before anything is started."""

import re
import shutil
import subprocess
from pathlib import Path

from streams.errors import AnabranchError

JAVA = 17  # the newest that Cassandra 5.0 runs on, the oldest that Kafka 4 does
QUICK_JAVA = "-XX:TieredStopAtLevel=1"
"""Servers here often live for minutes, on the very cores of the worker. To compile what they do a second time, and
better, takes more of these than it gives back by then: without, they start in half the time, and the first minute is
twice as quick."""
FREE_GIB = 3


class MachineLacks(AnabranchError):
    """Something that the servers need is missing; the message says what to do."""


def check(home: Path, *, fetching: bool) -> None:
    """Java 17, room on the disk and, when something is yet to be fetched, Maven. Raises MachineLacks."""
    said = _output("java", "-version", package="openjdk-17-jre-headless")
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) != JAVA:
        found = said.splitlines()[0] if said else "nothing"
        raise MachineLacks(f"Java {JAVA} is needed, but `java -version` says: {found}")
    if fetching:
        _output("mvn", "--version", package="maven")
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free / 1024**3
    if free < FREE_GIB:
        raise MachineLacks(f"{home.resolve()} has {free:.1f} GiB free, where {FREE_GIB} are needed")


def _output(program: str, argument: str, *, package: str) -> str:
    if shutil.which(program) is None:
        raise MachineLacks(f"{program!r} is needed and not on the PATH (Debian: apt-get install {package})")
    done = subprocess.run([program, argument], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()
