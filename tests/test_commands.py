"""What commands say to who has mistyped one, or has not started the servers yet."""

from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local import ports
from streams import cli
from streams.settings import load


def test_the_first_commands_of_the_help_are_those_one_starts_with() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"], env={"COLUMNS": "120", "TERM": "dumb"}).output
    order = [shown.index(f"│ {name} ") for name in ("up", "demo", "recs", "evaluate", "retrain", "experiments")]
    assert order == sorted(order)
    assert "No such" not in shown


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(cli.app, ["--version"]).output == f"anabranch {version('anabranch')}\n"


@pytest.mark.parametrize("command", ["recs ada", "topics create"])
def test_where_a_server_is_away_a_command_says_which_and_what_tells_more(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ports.choose_all(load(home=tmp_path))
    monkeypatch.setenv("ANABRANCH_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["anabranch", *command.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 1
    assert "does not answer: Connection refused" in said and "anabranch status" in said
