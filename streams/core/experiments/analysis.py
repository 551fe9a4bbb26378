"""The report of an experiment: how much better each arm is, whether that is proven, and what is amiss.

Everything is a ratio of two sums, such as hits by lists, and its variance is taken over users, as a user's events are
alike (delta method: Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018). Click-through is
made more precise by what users did before the experiment (CUPED: Deng, Xu, Kohavi and Walker, WSDM 2013).
"""

from typing import NamedTuple

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from streams.core.experiments import sequential
from streams.core.experiments.plan import Experiment, Plan
from streams.core.experiments.tally import COLUMNS, SEVERAL, Sums, Table, Tally, compared

FEWEST = 100  # users of an arm from which on sums are normal enough
MISMATCH = 0.001
GUARD_ALPHA = 0.01
GUARD_EFFECT = 0.3


class GuardRail(NamedTuple):
    """A ratio that an arm is not to worsen. `worse` is -1 where less is worse, 1 where more is."""

    name: str
    over: str
    by: str
    worse: int


GUARD_RAILS = (
    GuardRail("lists per user", "lists", "users", -1),
    GuardRail("items per list", "items", "lists", -1),
    GuardRail("seconds from event to list", "seconds", "lists", 1),
)


class Difference(Struct, frozen=True):
    """An arm's ratio beside the control's: 0.1 is a tenth more. The interval and `p` hold at any moment.

    low, high  None, and p 1, where there are too few users to tell
    """

    estimate: float
    low: float | None
    high: float | None
    p: float


class ArmReport(Struct, frozen=True, kw_only=True):
    """What happened in an arm.

    click_through  share of the lists of which one of the first ten items was clicked
    against        the control; None for the control itself
    worsened       guard-rails that the arm has broken
    verdict        'control', 'better', 'worse' or 'open'
    """

    name: str
    users: int
    lists: int
    clicks: int
    click_through: float
    against: Difference | None
    worsened: list[str]
    verdict: str


class ExperimentReport(Struct, frozen=True, kw_only=True):
    """What is known of an experiment by now.

    arms          the control first
    preference    of an interleaving: clicks of the second arm's items less those of the first's, by all; else None
    mismatch      how rarely users are dealt out so unevenly; below 0.001 something loses users, and nothing else counts
    mismatch_now  the same by Pearson's chi-square, for who looks once
    several       users who were in more than one arm and are left out: the plan was changed under them
    saved         share of the variance of click-through that what users did before has taken away
    alarms        what makes the figures doubtful, and what the arms worsen
    """

    name: str
    kind: str
    stopped: bool
    arms: list[ArmReport]
    preference: Difference | None
    mismatch: float
    mismatch_now: float
    several: int
    saved: float
    alarms: list[str]


class _Ratio(NamedTuple):
    value: float
    variance: float
    users: int


def report(plan: Plan, tally: Tally) -> list[ExperimentReport]:
    """Of all experiments of the plan."""
    return [_report(name, each, tally.tables[name], plan.alpha) for name, each in compared(plan).items()]


def _report(name: str, experiment: Experiment, table: Table, alpha: float) -> ExperimentReport:
    sums, places = table.sums, table.arms
    several = int((places == SEVERAL).sum())
    preference: Difference | None = None
    saved = 0.0
    arms: list[ArmReport]
    if experiment.kind == "interleaving":
        preference = _preference(sums[places == 0], experiment.effect, alpha)
        arms = [_interleaved(sums[places == 0], name, at, preference, alpha) for at, name in enumerate(experiment.arms)]
        mismatch = mismatch_now = 1.0
    else:
        each_arm = [sums[places == place] for place in range(len(experiment.arms))]
        ratios, saved = click_through(each_arm)
        level = alpha / (len(ratios) - 1)
        arms = [
            _arm(list(experiment.arms), each_arm, ratios, at, experiment.effect, level) for at in range(len(ratios))
        ]
        users = [len(each) for each in each_arm]
        parts = list(experiment.parts().values())
        mismatch, mismatch_now = sequential.mismatch(users, parts), sequential.mismatch_now(users, parts)
    alarms = [f"{arm.name}: worse {rail}" for arm in arms for rail in arm.worsened]
    if mismatch < MISMATCH:
        alarms.insert(0, "sample ratio mismatch: users are lost between the deal and the outcome; trust no figure here")
    if several:
        alarms.append(f"{several} users were in several arms, and are left out: the plan was changed while it ran")
    return ExperimentReport(
        name=name,
        kind=experiment.kind,
        stopped=experiment.stopped,
        arms=arms,
        preference=preference,
        mismatch=mismatch,
        mismatch_now=mismatch_now,
        several=several,
        saved=saved,
        alarms=alarms,
    )


def click_through(arms: list[Sums]) -> tuple[list[_Ratio], float]:
    """Hits by lists of each arm, adjusted for what its users did before; and the share of variance that this saved."""
    before = [_linear(each, "hits_before", "lists_before", pooled=np.concatenate(arms)) for each in arms]
    within = [_linear(each, "hits", "lists", pooled=each) for each in arms]
    x = np.concatenate([each - each.mean() for each in before if len(each)] or [np.zeros(0)])
    y = np.concatenate([each - each.mean() for each in within if len(each)] or [np.zeros(0)])
    spread = float(x @ x)
    slope = float(x @ y) / spread if spread > 0 else 0.0
    overall = float(np.concatenate(before).mean()) if len(x) else 0.0
    ratios = []
    for own, past, linear in zip(arms, before, within, strict=True):
        plain = _ratio(own, "hits", "lists")
        if not len(own):
            ratios.append(plain)
            continue
        value = plain.value - slope * (float(past.mean()) - overall)
        ratios.append(_Ratio(value, float((linear - slope * past).var() / len(own)), len(own)))
    saved = slope * float(x @ y) / float(y @ y) if len(y) and y @ y > 0 else 0.0
    return ratios, saved


def difference(control: _Ratio, other: _Ratio, effect: float, alpha: float) -> Difference:
    """By how much another ratio is above or below the control's, in parts of the control's."""
    if control.value <= 0 or min(control.users, other.users) < FEWEST:
        return Difference(0.0, None, None, 1.0)
    estimate = other.value / control.value - 1
    variance = (other.variance + (other.value / control.value) ** 2 * control.variance) / control.value**2
    return _judged(estimate, variance, effect, alpha)


def _judged(estimate: float, variance: float, effect: float, alpha: float) -> Difference:
    if variance <= 0:
        return Difference(estimate, None, None, 1.0)
    half = sequential.radius(variance, effect, alpha)
    p = sequential.p_value(estimate, variance, effect)
    return Difference(estimate, estimate - half, estimate + half, p)


def _arm(names: list[str], arms: list[Sums], ratios: list[_Ratio], at: int, effect: float, level: float) -> ArmReport:
    own = arms[at]
    against = difference(ratios[0], ratios[at], effect, level) if at else None
    worsened = [rail.name for rail in GUARD_RAILS if at and _worse(rail, arms[0], own, len(arms) - 1)]
    return _arm_report(names[at], own, against, worsened, level)


def _worse(rail: GuardRail, control: Sums, own: Sums, arms: int) -> bool:
    alpha = GUARD_ALPHA / arms / len(GUARD_RAILS)
    found = difference(_ratio(control, rail.over, rail.by), _ratio(own, rail.over, rail.by), GUARD_EFFECT, alpha)
    return found.p <= alpha and found.estimate * rail.worse > 0


def _interleaved(sums: Sums, name: str, at: int, preference: Difference, alpha: float) -> ArmReport:
    """Clicks and click-through are those of the arm's items."""
    clicks = float(_column(sums, ("first", "second")[at]).sum())
    whole = _arm_report(name, sums, preference if at else None, [], alpha)
    return structs.replace(whole, clicks=int(clicks), click_through=clicks / max(1, whole.lists))


def _arm_report(name: str, sums: Sums, against: Difference | None, worsened: list[str], level: float) -> ArmReport:
    verdict = "control" if against is None else "open"
    if against is not None and against.p <= level:
        verdict = "better" if against.estimate > 0 else "worse"
    return ArmReport(
        name=name,
        users=len(sums),
        lists=int(_column(sums, "lists").sum()),
        clicks=int(_column(sums, "clicks").sum()),
        click_through=_ratio(sums, "hits", "lists").value,
        against=against,
        worsened=worsened,
        verdict=verdict,
    )


def _preference(sums: Sums, effect: float, alpha: float) -> Difference:
    """(second - first) / (second + first), of the items clicked."""
    first, second = _column(sums, "first"), _column(sums, "second")
    clicked = first + second > 0
    ratio = _of(second[clicked] - first[clicked], second[clicked] + first[clicked])
    if ratio.users < FEWEST:
        return Difference(0.0, None, None, 1.0)
    return _judged(ratio.value, ratio.variance, effect, alpha)


def _column(sums: Sums, name: str) -> NDArray[np.float64]:
    return np.ones(len(sums)) if name == "users" else sums[:, COLUMNS.index(name)]


def _ratio(sums: Sums, over: str, by: str) -> _Ratio:
    return _of(_column(sums, over), _column(sums, by))


def _of(over: NDArray[np.float64], by: NDArray[np.float64]) -> _Ratio:
    """The ratio of two sums over users, and its variance by the delta method."""
    users, total = len(over), float(by.sum())
    if not total:
        return _Ratio(0.0, 0.0, users)
    value = float(over.sum()) / total
    return _Ratio(value, float((over - value * by).var() * users / total**2), users)


def _linear(sums: Sums, over: str, by: str, *, pooled: Sums) -> NDArray[np.float64]:
    """(n,) what each user adds to the ratio of the pooled users; its mean is how far these users are from it."""
    total = float(_column(pooled, by).sum())
    if not total:
        return np.zeros(len(sums))
    value = float(_column(pooled, over).sum()) / total
    return (_column(sums, over) - value * _column(sums, by)) * len(pooled) / total
