"""A world whose right answer is plain: who clicks more is found better, who is lost is missed, who is slow is told."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from msgspec import Struct

from streams.core.experiments.analysis import ExperimentReport, report
from streams.core.experiments.plan import read
from streams.core.experiments.tally import Tally

PLAN = "layers: {l: {colour: {arms: {red: {}, blue: {}}}}}"
BOTH = "layers: {l: {colour: {kind: interleaving, arms: {red: {}, blue: {}}}}}"


class Told(Struct, kw_only=True):
    """What a worker tells of a list."""

    user: str
    list_version: int
    variants: Mapping[str, str] = {}
    items: int = 20
    seconds: float = 0.02
    before: Mapping[str, str] = {}
    clicks: int = 0
    place: int = 0
    credit: Mapping[str, int] = {}


class Shop:
    """Users come by again and again; each time they are given a list, and some click it before the next."""

    def __init__(self, plan: str = PLAN, seed: int = 1) -> None:
        self.plan = read(plan)
        self.tally = Tally(self.plan)
        self.random = np.random.default_rng(seed)
        self.versions = Counter[str]()

    def visit(self, user: str, arm: str | None, lists: int, rate: float, **told: float) -> None:
        variants = {} if arm is None else {"colour": arm}
        for _ in range(lists + 1):
            self.versions[user] += 1
            again = self.versions[user] > 1
            hit = again and self.random.random() < rate
            self.tally.add(
                Told(
                    user=user,
                    list_version=self.versions[user],
                    variants=variants,
                    before=variants if again else {},
                    clicks=int(hit),
                    place=int(hit),
                    **told,  # type: ignore[arg-type]
                )
            )

    def report(self) -> ExperimentReport:
        [only] = report(self.plan, self.tally)
        return only


def test_an_arm_that_is_clicked_twice_as_often_is_better_and_one_that_is_not_stays_open() -> None:
    for rates, verdict in (((0.2, 0.4), "better"), ((0.4, 0.2), "worse"), ((0.3, 0.3), "open")):
        shop = Shop()
        for n in range(300):
            for arm, rate in zip(("red", "blue"), rates, strict=True):
                shop.visit(f"{arm} {n}", arm, 10, rate)
        red, blue = shop.report().arms
        assert (red.verdict, blue.verdict) == ("control", verdict)
        assert blue.against is not None and blue.against.low is not None and blue.against.high is not None
        assert blue.against.low < rates[1] / rates[0] - 1 < blue.against.high
        assert (red.users, red.lists) == (300, 3_300)
        assert red.click_through == pytest.approx(rates[0] * 10 / 11, abs=0.03)  # the last list is not judged yet
        assert shop.report().alarms == []


def test_of_too_few_users_nothing_is_said() -> None:
    shop = Shop()
    for n in range(99):
        shop.visit(f"red {n}", "red", 10, 0.0)
        shop.visit(f"blue {n}", "blue", 10, 1.0)
    shop.visit("red again", "red", 10, 0.5)
    blue = shop.report().arms[1]
    assert blue.against is not None and (blue.against.low, blue.against.p, blue.verdict) == (None, 1.0, "open")


def test_what_users_did_before_makes_the_difference_more_certain_and_changes_it_little() -> None:
    widths = {}
    for known in (False, True):
        shop = Shop()
        for n in range(400):
            for arm in ("red", "blue"):
                habit = 0.1 if n % 2 else 0.7
                if known:
                    shop.visit(f"{arm} {n}", None, 20, habit)
                shop.visit(f"{arm} {n}", arm, 20, habit * (1.1 if arm == "blue" else 1))
        found = shop.report()
        against = found.arms[1].against
        assert against is not None and against.low is not None and against.high is not None
        widths[known] = against.high - against.low
        assert against.low < 0.1 < against.high
        assert (found.saved > 0.8) == known
    assert widths[True] < widths[False] / 2


def test_users_who_are_lost_in_one_arm_are_an_alarm() -> None:
    shop = Shop()
    for n in range(1_000):
        shop.visit(f"red {n}", "red", 1, 0.5)
        if n % 5:
            shop.visit(f"blue {n}", "blue", 1, 0.5)
    found = shop.report()
    assert found.mismatch < 0.001 and found.mismatch_now < 0.001
    assert "sample ratio mismatch" in found.alarms[0]


def test_an_uneven_split_that_was_planned_is_none() -> None:
    shop = Shop(PLAN.replace("arms", "split: {red: 5, blue: 4}, arms"))
    for n in range(1_000):
        shop.visit(f"red {n}", "red", 1, 0.5)
        if n % 5:
            shop.visit(f"blue {n}", "blue", 1, 0.5)
    assert shop.report().alarms == []


@pytest.mark.parametrize(
    ("told", "rail"),
    [({"seconds": 0.04}, "seconds from event to list"), ({"items": 12}, "items per list")],
)
def test_an_arm_that_buys_its_clicks_with_something_else_breaks_a_guard_rail(told: dict[str, float], rail: str) -> None:
    shop = Shop()
    for n in range(200):
        shop.visit(f"red {n}", "red", 5 + n % 3, 0.2, items=20 - n % 2, seconds=0.02 + n % 3 / 1000)
        shop.visit(
            f"blue {n}", "blue", 5 + n % 3, 0.4, **({"items": 20 - n % 2, "seconds": 0.02 + n % 3 / 1000} | told)
        )
    found = shop.report()
    assert found.arms[1].verdict == "better" and found.arms[1].worsened == [rail]
    assert found.alarms == [f"blue: worse {rail}"]


def test_an_arm_that_users_leave_breaks_a_guard_rail() -> None:
    shop = Shop()
    for n in range(400):
        shop.visit(f"red {n}", "red", 6 + n % 5, 0.3)
        shop.visit(f"blue {n}", "blue", 3 + n % 5, 0.3)
    assert "lists per user" in shop.report().arms[1].worsened


def test_outcomes_that_come_again_or_late_are_left_out() -> None:
    shop = Shop()
    shop.visit("ann", "red", 3, 1.0)
    before = shop.report().arms
    shop.versions.clear()
    shop.visit("ann", "red", 3, 1.0)
    assert shop.report().arms == before


def test_users_of_several_arms_are_left_out_and_told_of() -> None:
    shop = Shop()
    shop.visit("ann", "red", 3, 1.0)
    shop.visit("ann", "blue", 3, 1.0)
    shop.visit("bob", "blue", 3, 1.0)
    found = shop.report()
    assert [arm.users for arm in found.arms] == [0, 1]
    assert found.several == 1 and "1 users were in several arms" in found.alarms[0]


@pytest.mark.parametrize(("share", "verdict"), [(0.7, "better"), (0.3, "worse"), (0.5, "open")])
def test_an_interleaving_is_judged_by_whose_items_are_clicked(share: float, verdict: str) -> None:
    shop = Shop(BOTH)
    for n in range(200):
        for version in range(1, 7):
            team = "blue" if shop.random.random() < share else "red"
            told = Told(user=f"user {n}", list_version=version, variants={"colour": "interleaved"})
            if version > 1:
                told.before, told.clicks, told.place, told.credit = told.variants, 1, 1, {team: 1}
            shop.tally.add(told)
    found = shop.report()
    assert found.preference is not None and found.preference.estimate == pytest.approx(2 * share - 1, abs=0.1)
    assert [arm.verdict for arm in found.arms] == ["control", verdict]
    assert sum(arm.clicks for arm in found.arms) == 1_000


def test_the_hold_out_is_reported_like_an_experiment() -> None:
    plan = read(f"{{holdout: 0.2, {PLAN}}}")
    tally = Tally(plan)
    for n in range(1_000):
        variants = {"holdout": "out"} if n % 5 == 0 else {"holdout": "in", "colour": "red" if n % 2 else "blue"}
        tally.add(Told(user=f"user {n}", list_version=1, variants=variants))
    holdout, colour = report(plan, tally)
    assert [(arm.name, arm.users) for arm in holdout.arms] == [("out", 200), ("in", 800)]
    assert holdout.alarms == colour.alarms == []
