"""Data from Debian's packages, unpacked into a cache with Debian's own tools, without installing them."""

import subprocess
from pathlib import Path


def unpacked(package: str, cache: Path) -> Path:
    """The folder of the unpacked package, fetched first where it is not there. Raises CalledProcessError."""
    folder = cache / package
    if not (folder / "usr").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
        for archive in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True)
            archive.unlink()
    return folder
