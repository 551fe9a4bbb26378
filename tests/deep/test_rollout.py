"""What is done under load, and how what came back is summed up."""

from pathlib import Path

import pytest

from streams.deep.registry import Registry, State
from streams.deep.rollout import Outcome, Sighting, Step, page, plan
from streams.reports import environment
from tests.deep.versions import FakeTriton
from tests.encoders.training.deep.worlds import two_tastes

REFUSED = ["refused: corrupt", "refused: unloadable", "refused: slow"]


def step(outcome: str = "nothing is done", begin: float = 100.0) -> Step:
    return Step("a step", outcome, 0.5, begin, begin + 10, 3, {1: 20}, 0)


def test_the_steps_ship_promote_and_take_back_and_end_with_three_that_are_refused(tmp_path: Path) -> None:
    triton = FakeTriton(tmp_path / "models")
    triton.seconds = {
        3: 0.2
    }  # the first that is refused gives its number back, and so on: only the slow one gets there
    registry = Registry(tmp_path / "models", triton, triton.clock)
    came = [do() for _, do in plan(registry, two_tastes(), tmp_path)]
    assert came[4:8] == [
        "version 2 is tried, and kept",
        "version 2 serves half of the users",
        "version 2 serves everybody",
        "version 1 serves everybody",
    ]
    assert came[8:] == REFUSED
    assert registry.state == State(stable=1) and list(triton.rankers) == [1]


def test_lists_count_in_the_step_they_were_emitted_in_whenever_they_are_read() -> None:
    seen = [Sighting(at, wait) for at, wait in ((111.0, 0.9), (108.0, 0.3), (102.0, 0.1), (102.5, 0.2), (99.0, 0.9))]
    found = step().with_lists(seen)
    assert [each.at for each in found.seen] == [102.0, 102.5, 108.0]
    assert found.waited(0.5) == 0.2 and found.longest_pause == 5.5
    assert step().waited(0.99) == 0 and step().longest_pause == 10


@pytest.mark.parametrize(
    ("unanswered", "refused", "clean"), [(0, REFUSED, True), (1, REFUSED, False), (0, REFUSED[:2], False)]
)
def test_a_run_is_clean_where_every_event_has_its_list_and_what_is_bad_was_refused(
    unanswered: int, refused: list[str], clean: bool
) -> None:
    outcome = Outcome(environment(), 300.0, 15.0, [step(each) for each in ("fine", *refused)], unanswered)
    assert outcome.is_clean == clean
    assert f"{3 * (1 + len(refused))} events at 300 a second, 0 lists, {unanswered} events" in page(outcome)
    assert "| a step | refused: corrupt | 0.5 | 3 | 0 | 0 | 0 | 10,000 | 1: 20 | 0 |" in page(outcome)
