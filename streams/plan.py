"""The plan of experiments: read once, at the start of a process, and to be the same for all of them."""

from collections.abc import Collection
from pathlib import Path

from streams.core.experiments import plan as plans
from streams.core.experiments.plan import Plan, PlanError
from streams.errors import AnabranchError


class UnusablePlan(AnabranchError):
    """A plan of experiments that cannot be read or carried out; the message names the file and what is wrong."""


def read_plan(path: Path | None) -> Plan | None:
    """The plan in a file, None where none is named. Raises UnusablePlan."""
    if path is None:
        return None
    try:
        return plans.read(path.read_bytes())
    except (OSError, PlanError) as error:
        raise UnusablePlan(f"{path}: {error}") from error


def check_versions(path: Path | None, plan: Plan | None, shipped: Collection[int]) -> None:
    """Whether there is every version of the deep ranker that an arm of the plan names. Raises UnusablePlan."""
    try:
        plans.check_versions(plan or Plan(), shipped)
    except PlanError as error:
        raise UnusablePlan(f"{path}: {error}") from error
