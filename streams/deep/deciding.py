"""Whether the canary becomes the stable version: by what the users of all workers chose since it was shipped."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from streams.core import residual
from streams.core.residual import Figures
from streams.deep.registry import Registry
from streams.errors import AnabranchError
from streams.metrics import ADVICE
from streams.settings import Settings

MOST_UNADVISED = 0.05
"""Of a canary's lists that may be made without it, as a share of its choices."""

UNADVISED = "anabranch_lists_unadvised"
PATIENCE_SECONDS = 5.0


def decide(settings: Settings, registry: Registry, *, least: int, most: int) -> tuple[str, Table]:
    """Carry out what the rule says; in words, with the figures that it went by.

    least, most  choices, see `core.residual.decide`

    Raises AnabranchError where no worker answers.
    """
    with registry.locked():
        return _decide(settings, registry, least=least, most=most)


def _decide(settings: Settings, registry: Registry, *, least: int, most: int) -> tuple[str, Table]:
    state = registry.state
    if not state.canary:
        return "there is no canary to decide on; see: anabranch models canary", table({})
    shown = [ask(worker) for worker in settings.http.workers or (f"{settings.metrics.host}:{settings.metrics.port}",)]
    figures, unadvised = added_up(shown)
    canary = figures.get(state.canary, Figures(0, 0.0, 0.0, 0.0))
    stable = figures.get(state.stable, Figures(0, 0.0, 0.0, 0.0)) if state.stable else None
    without = unadvised.get(state.canary, 0)
    if without > max(1, MOST_UNADVISED * max(canary.choices, least)):
        registry.roll_back()
        return f"version {state.canary} was taken back: {without:.0f} lists had to be made without it", table(figures)
    decision = residual.decide(canary, stable, least=least, most=most)
    if decision == "promote":
        return f"version {registry.promote()} serves everybody", table(figures)
    if decision == "roll back":
        now = registry.roll_back()
        return f"version {state.canary} was taken back" + (f"; version {now} serves everybody" if now else ""), table(
            figures
        )
    return f"version {state.canary}: {canary.choices} choices do not tell yet", table(figures)


def ask(worker: str) -> Mapping[str, Metric]:
    """What a worker, by its address, shows of itself. Raises AnabranchError."""
    try:
        answer = PoolManager(retries=False, timeout=PATIENCE_SECONDS).request("GET", f"http://{worker}/metrics")
    except HTTPError as error:
        raise AnabranchError(f"the worker at {worker} shows no metrics: {error}") from error
    return {family.name: family for family in text_string_to_metric_families(answer.data.decode())}


def added_up(workers: Sequence[Mapping[str, Metric]]) -> tuple[dict[int, Figures], dict[int, float]]:
    """Version -> its figures, and version -> lists that were made without it, of all workers."""
    told: dict[int, list[Figures]] = {}
    unadvised: dict[int, float] = {}
    for families in workers:
        each: dict[int, dict[str, float]] = {}
        for name in ADVICE:
            family = families.get(next(iter(ADVICE[name].describe())).name)
            for sample in family.samples if family else ():
                each.setdefault(int(sample.labels["version"]), {})[name] = sample.value
        for version, values in each.items():
            told.setdefault(version, []).append(
                Figures(int(values["choices"]), values["gain"], values["squares"], values["weight"])
            )
        for sample in families[UNADVISED].samples if UNADVISED in families else ():
            if sample.name.endswith("_total"):
                version = int(sample.labels["version"])
                unadvised[version] = unadvised.get(version, 0.0) + sample.value
    return {version: reduce(add, each) for version, each in told.items()}, unadvised


def table(figures: Mapping[int, Figures]) -> Table:
    """For the terminal."""
    shown = Table()
    for heading in ("version", "choices", "gain of a choice (NDCG)", "± standard error", "weight"):
        shown.add_column(heading, justify="right")
    for version, each in sorted(figures.items()):
        shown.add_row(str(version), f"{each.choices:,}", f"{each.mean:+.4f}", f"{each.error:.4f}", f"{each.weight:.2f}")
    return shown
