"""What the commands of a moderator show, and what both they and the HTTP server know of what waits."""

import io
import os
import pwd

import pytest
from rich.console import Console

from streams import moderating
from streams.errors import Rejected
from streams.events import Decided, Held, Upload, encode
from streams.held import Decisions, Place, Waiting
from streams.moderating import Queue, operator, tables


def held(item: str, at: float, title: str = "a film") -> Held:
    return Held(upload=Upload(event_id=item, ts=at, item_id=item, title=title), scores={"text": 0.5}, held_at=at)


def decided(item: str, at: float, **told: str) -> Decided:
    return Decided(event_id=f"{item}-{at}", item_id=item, decision="refuse", decided_at=at, **told)


def shown(queue: Queue) -> str:
    console = Console(file=io.StringIO(), width=160)
    for each in tables(queue):
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_is_shown_says_how_much_there_is_and_who_decided() -> None:
    text = shown(
        Queue([held("a", 0.0)], 12_345, [decided("b", 60.0, moderator="mia", note="not here"), decided("c", 0.0)])
    )
    assert "1 of 12,345 held" in text
    assert "mia" in text and "not here" in text and "1970-01-01 00:01 UTC" in text and "unknown" in text
    assert "decision" not in shown(Queue([], 0, []))


def test_a_title_is_words_and_tells_the_terminal_nothing() -> None:
    text = shown(Queue([held("a", 0.0, "[/red] \x1b[2J [bold]x")], 1, []))
    assert "[/red]" in text and "[bold]x" in text and "\x1b" not in text


def test_what_waits_longest_comes_first_whatever_the_partition_and_what_is_decided_leaves() -> None:
    waiting = Waiting()
    for offset, (item, at) in enumerate([("b", 2.0), ("d", 4.0), ("a", 1.0), ("c", 3.0)]):
        waiting.outdate(item.encode())
        waiting.take(encode(held(item, at)), Place(offset % 2, offset))
    assert [each.held_at for each in waiting.page(0, 3)] == [1.0, 2.0, 3.0]
    assert [each.held_at for each in waiting.page(1, 2, newest=True)] == [3.0, 2.0]
    waiting.close("b")
    waiting.close("b")
    assert (len(waiting), waiting.get("b") is None) == (3, False), "until the queue says so"
    waiting.outdate(b"b")
    waiting.outdate(b"c")
    assert [each.held_at for each in waiting.page(0, 9)] == [1.0, 4.0] and waiting.get("b") is None
    with pytest.raises(Rejected):
        waiting.take(b"{}", Place(0, 9))
    waiting.take(encode(held("a", 9.0)), Place(0, 10))
    assert [each.held_at for each in waiting.page(0, 9)] == [4.0, 9.0]


def test_the_latest_decisions_are_kept_each_once_in_the_order_of_time() -> None:
    decisions = Decisions(2)
    for at in (3.0, 1.0, 2.0, 3.0):
        decisions.take(encode(decided("a", at)))
    assert [each.decided_at for each in decisions.latest()] == [3.0, 2.0]


def test_whoever_runs_the_command_is_named_by_number_where_the_system_has_no_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert operator() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(moderating.os, "getuid", lambda: 54_321)
    assert operator() == "uid 54321"
