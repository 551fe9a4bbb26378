"""The bill of materials, and the licences of what is in it."""

import json
from pathlib import Path

import pytest

from deploy import packages
from deploy.packages import LicenceRefused, Package


def test_everything_that_is_fetched_is_in_the_bill(tmp_path: Path) -> None:
    file = tmp_path / "build" / "bill.json"
    packages.main(file)
    bill = json.loads(file.read_text())
    versions = {each["purl"] for each in bill["components"]}
    locked = [line.split()[0] for lock in packages.LOCKS for line in lock.read_text().splitlines() if "==" in line]
    assert {f"pkg:pypi/{each.replace('==', '@')}" for each in locked} < versions
    fetched = ("kafka_2.13@", "cassandra-all@", "nvidia-pytriton@")
    assert all(any(name in purl for purl in versions) for name in fetched)


def test_every_component_is_wanted_by_another_and_known() -> None:
    bill = packages.bill(packages.packages())
    known = {"pkg:pypi/anabranch", *(each["bom-ref"] for each in bill["components"])}
    wanted = {child for each in bill["dependencies"] for child in each["dependsOn"]}
    assert {each["ref"] for each in bill["dependencies"]} == known
    assert wanted == known - {"pkg:pypi/anabranch"}


def test_the_same_locks_make_the_same_bill() -> None:
    assert packages.bill(packages.packages()) == packages.bill(packages.packages())


def test_a_package_of_a_licence_that_is_not_allowed_is_named() -> None:
    some = [Package("good", "1", "p", "MIT"), Package("bad", "1", "p", "GPL-3.0-only"), Package("absent", "1", "p")]
    with pytest.raises(LicenceRefused, match=r"^bad: GPL-3\.0-only\. Decide"):
        packages.check(some)


def test_a_package_that_does_not_say_is_not_taken_for_free() -> None:
    assert not packages.is_allowed("(it does not say)")
