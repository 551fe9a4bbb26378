"""A log, replayed offline, compared and reported; a world in which two kinds of users click two kinds of items."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from encoders.contract import Question, item_key
from streams.cli import app
from streams.core.baselines import BASELINES
from streams.core.memory.settings import EXPERTS
from streams.core.recommender import RecommenderSettings
from streams.errors import AnabranchError
from streams.evaluate import log as logs
from streams.evaluate import plots, report
from streams.evaluate.comparison import HEADLINE, Comparison, compare
from streams.evaluate.log import Log, UnreadableLog
from streams.evaluate.offline import LATE, OURS, InProcess, Outcome, Shipped, ablations, replay, systems
from streams.evaluate.run import said
from streams.events import Click, Upload, View
from streams.ports import Arms

NOON = 1.7e9
LAST = f"late by {LATE[-1]}"
SMALL = RecommenderSettings(capacity=64, sessions=64, session_length=16, proposals=16)


def click(number: int, user: str, item: str) -> Click:
    return Click(event_id=f"c-{number}", ts=NOON + 20 * number, user_id=user, item_id=item)


def two_kinds(clicks: int = 300) -> Log:
    """User n clicks items of the parity of n, in rising order; nine users come and go at a time."""
    touches = []
    for number in range(clicks):
        step, place = divmod(number, 9)
        user = place + 9 * (step // 6)
        touches.append(click(number, f"user {user}", f"item {2 * ((step + user) % 10) + user % 2}"))
    return Log("two kinds", [f"item {item}" for item in range(20)], list(touches))


def line(event: Click | View | Upload, topic: str) -> bytes:
    return msgspec.json.encode({"topic": topic} | msgspec.to_builtins(event)) + b"\n"


def compared() -> Comparison:
    log = two_kinds()
    makers = systems("baselines", log, SMALL, held=False)
    return compare(log, {name: replay(make(log.items), log, view_weight=0.2) for name, make in makers.items()})


def test_a_log_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    view = View(event_id="v", ts=NOON + 5, user_id="ann", item_id="seen")
    gone = Upload(event_id="g", ts=NOON, item_id="gone", title="Gone", withdrawn=True)
    file.write_bytes(
        line(click(2, "ann", "b"), "events.click")
        + line(Upload(event_id="u", ts=NOON, item_id="new", title="New"), "events.upload")
        + line(gone, "events.upload")
        + b'\n{"topic": "events.profile", "event_id": "p"}\n'
        + line(view, "events.view")
        + line(click(1, "ann", "a"), "events.click")
        + line(click(0, "bob", "a"), "events.click")
    )
    log = logs.read(file)
    assert [touch.event_id for touch in log.touches] == ["c-0", "v", "c-1", "c-2"]
    assert [touch.item_id for touch in log.clicks] == ["a", "a", "b"]
    assert set(log.items) == {"new", "seen", "a", "b"}
    first = logs.read(file, clicks=2)
    assert [touch.event_id for touch in first.touches] == ["c-0", "v", "c-1"]
    assert set(first.items) == {"new", "seen", "a"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"nonsense", "malformed"),
        (b'{"event_id": "c"}', "topic"),
        (b'{"topic": "events.click", "event_id": "c", "ts": 1.0, "user_id": "ann"}', "item_id"),
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, wrong: bytes, reason: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(line(click(0, "ann", "a"), "events.click") + wrong + b"\n")
    with pytest.raises(UnreadableLog, match=rf"log\.jsonl, line 2: .*{reason}"):
        logs.read(file)


def test_a_list_is_made_before_its_click_is_learned() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.calls: list[tuple[str, str]] = []

        def recommend(self, user: str, at: float, k: int) -> list[str]:
            self.calls.append(("recommend", user))
            return []

        def learn(self, user: str, item: str, at: float) -> None:
            self.calls.append(("learn", item))

        def see(self, user: str, item: str, at: float, weight: float) -> None:
            self.calls.append(("see", f"{item} {weight}"))

    view = View(event_id="v", ts=NOON, user_id="ann", item_id="b")
    log = Log("", ["a", "b"], [click(0, "ann", "a"), view])
    recorder = Recorder()
    outcome = replay(recorder, log, view_weight=0.2)
    assert recorder.calls == [("recommend", "ann"), ("learn", "a"), ("see", "b 0.2")]
    assert outcome.lists == [[]]


def test_a_held_list_is_the_one_made_after_the_users_event_before() -> None:
    asked, held = (InProcess(["a", "c", "b"], NOON, SMALL, held=held) for held in (False, True))
    for system in (asked, held):
        system.learn("ann", "a", NOON)
        for number in range(5):
            system.learn(f"user {number}", "c", NOON + 1 + number)
    assert asked.recommend("ann", NOON + 60, 2) == ["c", "b"]
    assert held.recommend("ann", NOON + 60, 2)[0] == "b", "made before anybody clicked c"


class Told:
    """A version of the deep ranker that is told what comes next; from that on it says so, or the very contrary."""

    def __init__(self, sign: int) -> None:
        self.comes, self._sign = "", sign

    async def arms(self) -> Arms:
        return Arms(stable=1)

    async def score(self, version: int, asked: Question) -> np.ndarray:
        return self._sign * (asked.candidates == item_key(self.comes)).astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_version_has_a_say_from_when_its_training_ends_and_as_far_as_it_helps(sign: int) -> None:
    """Who clicks what is drawn by lot, so that nothing but the version can tell."""
    generator, items = np.random.default_rng(0), [f"item {item}" for item in range(20)]
    told = Told(sign)
    alone = InProcess(items, NOON, SMALL)
    advised = InProcess(items, NOON, SMALL, shipped=Shipped(told, since=NOON + 1000))
    assert advised.advice is not None
    apart = []
    for number, item in enumerate(generator.integers(0, 20, 300).tolist()):
        user, told.comes = f"user {number % 60}", items[item]
        lists = [system.recommend(user, NOON + 20 * number, 10) for system in (alone, advised)]
        for system in (alone, advised):
            system.learn(user, told.comes, NOON + 20 * number)
        apart.append(lists[0] != lists[1])
        if number == 50:
            assert not any(apart) and not advised.advice.residual.figures()
    [figures] = advised.advice.residual.figures().values()
    assert figures.choices > 100
    if sign > 0:
        assert sum(apart) > 100 and figures.mean > 0.2 and f"{figures.mean:+.4f}" in said(figures)
    else:
        assert not any(apart) and figures.weight == 0


def test_a_late_list_does_not_know_the_last_events() -> None:
    items, made = ["a", "b", "c"], systems("late", two_kinds(), SMALL, held=False)
    prompt, late, ignorant = made[OURS](items), made[LAST](items), made[OURS](items)
    for number in range(LATE[-1]):
        for system in (prompt, late):
            system.learn(f"user {number}", "c", NOON + number)
    assert prompt.recommend("ann", NOON + 60, 1) == ["c"]
    assert late.recommend("ann", NOON + 60, 3) == ignorant.recommend("ann", NOON + 60, 3)
    late.learn("ann", "a", NOON + 60)
    ignorant.learn("user 0", "c", NOON)
    assert late.recommend("ann", NOON + 61, 3) == ignorant.recommend("ann", NOON + 61, 3)


def test_every_system_learns_the_two_kinds() -> None:
    found = compared()
    assert list(found.systems) == [OURS, *BASELINES]
    assert (found.clicks, found.users, found.items) == (300, 54, 20)
    popular = found.systems["popular"].quality[HEADLINE].ndcg
    for name in (OURS, "sequential rules", "item cosine", "V-SKNN", "STAN"):
        assert found.systems[name].quality[HEADLINE].ndcg > popular, name
    beside = found.systems["popular"].beside
    assert found.systems[OURS].beside is None and beside is not None
    assert beside.ndcg.low > 0


def test_lists_for_other_clicks_or_of_other_items_are_refused() -> None:
    log = two_kinds(20)
    with pytest.raises(AnabranchError, match="served has 1 lists for the 20 clicks of two kinds"):
        compare(log, {"served": Outcome([["item 1"]], np.empty(0))})
    with pytest.raises(AnabranchError, match="served lists 'item 99', an item that two kinds does not have"):
        compare(log, {"served": Outcome([["item 99"]] * 20, np.empty(0))})


def test_each_ablation_takes_out_one_part() -> None:
    found = ablations(SMALL)
    assert {f"without {name}" for name in EXPERTS} <= set(found)
    for name, settings in found.items():
        changed = [each for each in SMALL.__struct_fields__ if getattr(settings, each) != getattr(SMALL, each)]
        assert len(changed) == (2 if name.startswith("neither") else 1), name
    assert set(SMALL.experts) - set(found["without stage"].experts) == {"stage"}
    log = two_kinds(60)
    for make in systems("ablations", log, SMALL, held=False).values():
        assert len(replay(make(log.items), log, view_weight=0.2).lists) == 60


def test_the_report_shows_every_system_and_needs_no_other_file(tmp_path: Path) -> None:
    found = compared()
    paths = {path.name: path.read_bytes() for path in report.write(found, tmp_path / "new")}
    assert paths["report.png"].startswith(b"\x89PNG")
    page = paths["report.html"].decode()
    assert not re.search(r'(src|href)="(?!data:)', page)
    for name in found.systems:
        assert f"<td>{name}</td>" in page
    stored = msgspec.json.decode(paths["report.json"])
    assert stored["systems"][OURS]["quality"][HEADLINE]["recall"] == found.systems[OURS].quality[HEADLINE].recall
    assert paths["report.md"].decode().count("\n| popular |") == 5


def test_recall_of_the_last_clicks_is_their_mean() -> None:
    assert plots._rolling(np.array([1.0, 0, 0, 1, 1]), 2).tolist() == [1, 0.5, 0, 0.5, 1]
    assert plots._so_far(np.array([1.0, 0, 0, 1])).tolist() == [1, 0.5, 1 / 3, 0.5]


def test_the_command_judges_a_file_offline_beside_lists_from_elsewhere(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join(line(each, "events.click") for each in two_kinds(150).touches))
    lists = tmp_path / "lists.jsonl"
    common = ["evaluate", "--offline", "--log", str(log), "--against", "nothing", "--set", "capacity=64"]
    wide = {"COLUMNS": "160"}
    first = CliRunner().invoke(app, [*common, "--lists", str(lists)], env=wide)
    assert first.exit_code == 0, first.output
    assert len(lists.read_text().splitlines()) == 150
    again = CliRunner().invoke(app, [*common, "--compare", f"before={lists}", "--report", str(tmp_path)], env=wide)
    assert again.exit_code == 0, again.output
    figures = msgspec.json.decode((tmp_path / "report.json").read_bytes())["systems"]
    assert figures["before"]["quality"] == figures[OURS]["quality"]
    assert figures["before"]["beside"]["hits"] == {"only_first": 0, "only_second": 0, "p": 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "capacity=few"], "settings of the recommender"),
        (["--set", "speed=9"], "no setting speed"),
        (["--compare", "before=/nowhere.jsonl"], "/nowhere.jsonl is no file of lists"),
    ],
)
def test_the_command_says_what_it_cannot_do(tmp_path: Path, options: list[str], message: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(click(0, "ann", "a"), "events.click"))
    done = CliRunner().invoke(app, ["evaluate", "--offline", "--log", str(log), "--against", "nothing", *options])
    assert isinstance(done.exception, AnabranchError)
    assert message in str(done.exception)
