"""What strikes when is drawn from a seed; what is seen is told apart by kind."""

from collections import Counter
from typing import Any, cast

import pytest

from streams.datasets.dataset import Dataset
from streams.events import Click, Profile, Recommendations, Upload
from streams.faults.answers import Answers
from streams.faults.fleet import Fleet
from streams.faults.load import REPEATED, activity, with_repeats
from streams.faults.plan import KINDS, Fault, How, draw
from streams.faults.report import Outcome, Recovery, page, verdict
from streams.reports import environment
from streams.verify import Report

WORKERS = ["worker-0", "worker-1", "worker-2"]


def test_a_seed_draws_the_same_faults_again_and_another_seed_others() -> None:
    assert draw(1, 40, WORKERS, stop_seconds=20) == draw(1, 40, WORKERS, stop_seconds=20)
    assert draw(1, 40, WORKERS, stop_seconds=20) != draw(2, 40, WORKERS, stop_seconds=20)


def test_every_kind_of_fault_comes_equally_often_and_strikes_all_there_are() -> None:
    faults = draw(5, 10 * len(KINDS), WORKERS, stop_seconds=20)
    assert Counter(fault.kind for fault in faults) == dict.fromkeys(KINDS, 10)
    assert {name for fault in faults for name in fault.victims} == {*WORKERS, "kafka", "cassandra", "triton"}
    assert {fault.lasts for fault in faults if fault.how == How.stopped} == {20}
    assert {fault.kind for fault in faults if fault.how == How.leaves} == {"worker leaves"}


def test_only_the_kinds_that_are_wanted_strike() -> None:
    faults = draw(5, 4, WORKERS, stop_seconds=20, kinds=["kafka killed", "cassandra stopped"])
    assert Counter((*fault.victims, fault.how) for fault in faults) == {
        ("kafka", How.killed): 2,
        ("cassandra", How.stopped): 2,
    }


class Lazy:
    """Stands for a server: runs, or does not."""

    def __init__(self) -> None:
        self.runs, self.process, self.name = True, self, "kafka"

    def find(self) -> bool | None:
        return self.runs or None

    def kill(self) -> None:
        self.runs = False

    def start(self) -> None:
        self.runs = True


def test_who_ends_by_itself_is_started_again_and_who_was_struck_only_once_the_fault_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("streams.faults.fleet.time.monotonic", lambda: now[0])
    server = Lazy()
    fleet = Fleet([], cast(Any, [server]))
    fault = Fault("kafka killed", ("kafka",), How.killed, after=0, lasts=5)
    fleet.strike(fault)
    for now[0] in (101.0, 105.0):
        fleet.tend()
    assert not server.runs and fleet.ended == []
    fleet.mend(fault)
    assert server.runs
    server.kill()
    for now[0] in (110.0, 110.5):
        fleet.tend()
    assert not server.runs, "it is given a moment"
    now[0] = 111.5
    fleet.tend()
    assert server.runs and fleet.ended == ["kafka"]


def dataset(clicks: int) -> Dataset:
    return Dataset(
        name="one person",
        uploads=[],
        profiles={"ada": Profile(event_id="p", ts=1.0, user_id="ada", traits={})},
        activity=[Click(event_id=f"e{n}", ts=float(n + 1), user_id="ada", item_id="i") for n in range(clicks)],
        captions={},
    )


def test_copies_of_people_have_ids_of_their_own_and_uploads_come_among_their_events() -> None:
    late = [Upload(event_id=f"u{n}", ts=1.0, item_id=f"i{n}", title="x") for n in range(3)]
    events = activity(dataset(9), 30, late)
    assert len(events) == len({event.event_id for event in events}) == 33
    assert {event.key for event in events} == {"copy0-ada", "copy1-ada", "copy2-ada", "i0", "i1", "i2"}
    assert [event.event_id for event in events if isinstance(event, Upload)] == ["u0", "u1", "u2"]
    assert not isinstance(events[0], Upload) and not isinstance(events[-1], Upload)


def test_some_events_come_twice_and_none_is_left_out() -> None:
    events = activity(dataset(399), 400, [])
    sent = Counter(event.event_id for event in with_repeats(events))
    assert len(sent) == 400 and set(sent.values()) == {1, 2}
    assert sent.total() == 400 + 400 // REPEATED - 1


def test_an_event_waits_until_a_list_names_it() -> None:
    answers = Answers()
    first, second = dataset(2).activity
    answers.sent(first)
    moment = answers.delay()
    answers.sent(second)
    assert answers.delay() >= moment and answers.waiting() == ["e0", "e1"]
    answers.answered(a_list(second.event_id))
    assert answers.waiting() == ["e0"]
    answers.answered(a_list(first.event_id, second.event_id))
    assert answers.waiting() == [] and answers.delay() == 0


def test_how_long_events_waited_at_most_is_told_from_a_moment_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("streams.faults.answers.time.monotonic", lambda: now[0])
    answers = Answers()
    first, second, third = dataset(3).activity
    answers.sent(first)
    now[0] = 109.0
    answers.answered(a_list(first.event_id))
    assert answers.longest() == 9.0
    answers.begin()
    answers.sent(second)
    now[0] = 112.0
    answers.answered(a_list(second.event_id, first.event_id))
    assert answers.longest() == 3.0
    answers.sent(third)
    now[0] = 117.0
    assert answers.longest() == 5.0, "it still waits"


def a_list(*event_ids: str) -> Recommendations:
    return Recommendations(
        user_id="ada",
        list_version=1,
        items=[],
        event_ids=list(event_ids),
        event_ts=1.0,
        published_at=1.0,
        emitted_at=1.0,
    )


@pytest.mark.parametrize(
    ("verified", "unanswered", "caught_up"),
    [
        (Report(users_off=1, lost=3), [], 2.0),
        (Report(items_off=["alien"]), [], 2.0),
        (Report(in_motion=1), [], 2.0),
        (Report(), ["e1"], 2.0),
        (Report(), [], None),
    ],
)
def test_a_run_is_clean_only_if_nothing_is_amiss(
    verified: Report, unanswered: list[str], caught_up: float | None
) -> None:
    clean = Outcome(7, 3, 100, environment(), [Recovery("kafka killed", 1, 1.0, 2.0, 2.5, 3.0)], ["w"], [], Report())
    assert clean.is_clean and "| kafka killed | 1 | 1.0 (1.0) | 2.0 (2.0) | 2.5 (2.5) |" in page(clean)
    assert "started again: w 1." in page(clean)
    recoveries = [Recovery("kafka killed", 1, 1.0, caught_up, 2.5, 3.0)]
    amiss = Outcome(7, 3, 100, clean.environment, recoveries, [], unanswered, verified)
    assert not amiss.is_clean
    assert caught_up is None or verdict(amiss) != verdict(clean), "it says what is amiss"
