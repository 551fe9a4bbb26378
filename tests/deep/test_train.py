"""From a log to a version, as the command does it."""

from base64 import b64encode
from pathlib import Path

import pytest
from msgspec import structs
from rich.console import Console
from typer.testing import CliRunner

from encoders import sound
from encoders.ranker import Ranker, verify
from encoders.training.deep.export import question
from encoders.training.deep.rankers import Shape
from encoders.training.deep.trainer import Training
from streams.cli import app
from streams.deep.comparison import run
from streams.deep.train import train, with_changes
from streams.errors import AnabranchError
from streams.events import Click, Upload
from streams.settings import load
from tests.encoders.training.deep.worlds import events, lines, two_tastes
from tests.media import RATE, tone


def test_a_file_of_events_becomes_a_version_that_tells_what_it_is(recorded: Path, tmp_path: Path) -> None:
    changes = [f"--set={each}" for each in ("parts=item+words", "width=16", "epochs=6", "batch=128", "patience=6")]
    command = ["train", "click", str(recorded), "--save", str(tmp_path / "v"), "--set=learning_rate=0.03", *changes]
    found = CliRunner().invoke(app, command, env={"ANABRANCH_HOME": str(tmp_path)})
    assert found.exit_code == 0, found.output
    told = verify(tmp_path / "v")
    assert told["metrics"]["AUC"] > 0.8 and f"AUC: {told['metrics']['AUC']:.4f}" in found.output
    assert told["shape"]["parts"] == ["item", "words"] and told["training"]["epochs"] == 6
    first, last = told["window"]["train"][0], told["window"]["test"][1]
    assert 0 < first < told["window"]["train"][1] == told["window"]["validate"][0] < last <= 1002
    assert Ranker(tmp_path / "v")(question(2, 5, tmp_path / "v")).shape == (2, 5)


def test_a_model_may_learn_from_the_oldest_clicks_alone_and_have_a_say_on_those_after(
    recorded: Path, tmp_path: Path
) -> None:
    half, version = 480, tmp_path / "half"
    few = ["--set=parts=item", "--set=width=8", "--set=epochs=2", f"--clicks={half}", f"--save={version}"]
    trained = CliRunner().invoke(app, ["train", "click", str(recorded), *few], env={"ANABRANCH_HOME": str(tmp_path)})
    assert trained.exit_code == 0, trained.output
    times = sorted(each.ts for each in events(two_tastes(), since=0.0) if isinstance(each, Click))
    assert verify(version)["window"]["test"][1] == times[half - 1]
    judged = ["evaluate", "--offline", "--log", str(recorded), "--against=nothing", f"--model={version}"]
    found = CliRunner().invoke(app, judged)
    assert found.exit_code == 0, found.output
    assert "with half" in found.output and f"over {len(times) - half} choices" in found.output.replace("\n", " ")


def test_where_only_the_sound_tells_a_model_that_hears_learns_what_is_clicked(tmp_path: Path) -> None:
    """All items are called the same; even ones hum, odd ones whistle, and nothing else sets them apart."""
    sounds = [b64encode(sound.wav(tone(hertz, 0.3), RATE)).decode() for hertz in (110, 2_000)]
    log = tmp_path / "events.jsonl"
    log.write_text(
        lines(
            structs.replace(each, title="thing", media={"audio": f"data:audio/wav;base64,{sounds[number % 2]}"})
            if isinstance(each, Upload)
            else each
            for number, each in enumerate(events(two_tastes(), since=0.0))
        )
    )
    hears, does_not = (
        train(
            load(home=tmp_path),
            Console(quiet=True),
            where=str(log),
            shape=Shape("click", parts=parts, width=16),
            training=Training(epochs=8, batch=128, learning_rate=0.03, patience=8),
            checkpoint=None,
            save=None,
        )
        for parts in (("text", "audio"), ("text",))
    )
    assert hears["AUC"] > 0.85
    assert does_not["AUC"] < 0.6


def test_a_comparison_is_a_table_with_intervals(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streams.deep import comparison

    few = {name: Shape(kind, parts=("item",), width=8) for name, kind in (("two towers", "mf"), ("other", "click"))}
    monkeypatch.setitem(comparison.SETS, "models", few)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- models -->\n<!-- /models -->\nafter\n")
    text = run(
        load(home=tmp_path),
        Console(quiet=True),
        where=str(recorded),
        which="models",
        folds=2,
        training=Training(epochs=1, batch=256),
        page=page,
    )
    rows = [
        line for line in text.splitlines() if line.startswith(("| two towers", "| other")) and line.count(" to ") == 5
    ]
    assert len(rows) == 3, "each with its measures, and one less the other"
    assert "| less 'two towers' |" in text and "| AUC | other items, " in text
    assert page.read_text() == f"before\n<!-- models -->\n{text}<!-- /models -->\nafter\n"


def test_settings_are_read_as_what_they_are() -> None:
    shape, training = with_changes(
        Shape("click"), Training(), {"parts": "item+words", "profiles": "false", "dropout": "0.5", "seed": "3"}
    )
    assert shape == Shape("click", parts=("item", "words"), profiles=False, dropout=0.5)
    assert training == Training(seed=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mf"}, "'kind' is no setting"),
        ({"width": "wide"}, "width='wide'"),
        ({"precision": "int2"}, "int2"),
        ({"parts": "item+sound"}, "'sound' is no part of items: item, .*audio"),
    ],
)
def test_a_setting_that_there_is_not_is_named(changes: dict[str, str], message: str) -> None:
    with pytest.raises(AnabranchError, match=message):
        with_changes(Shape("click"), Training(), changes)
