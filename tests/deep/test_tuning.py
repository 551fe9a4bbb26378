"""A search of settings, as the command makes it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.deep.tuning import NotTuned


def test_a_search_ends_with_the_command_that_trains_by_it_and_goes_on_in_its_file(
    recorded: Path, tmp_path: Path
) -> None:
    given = [f"--set={each}" for each in ("parts=item", "epochs=1", "width=8", "batch=256")]
    command = ["tune", str(recorded), "--kind=tower", f"--study={tmp_path / 'study.db'}", *given]

    def invoke(*more: str) -> str:
        found = CliRunner().invoke(app, [*command, *more], env={"ANABRANCH_HOME": str(tmp_path)})
        if found.exception is not None:
            raise found.exception
        return found.output

    said = invoke("--trials=2")
    assert "2 trials, of which 0 were pruned" in said
    assert f"anabranch train tower {recorded} --set parts=item --set epochs=1 --set width=8" in said
    assert "--set learning_rate=0.0" in said and "--set dropout=" in said
    assert invoke("--trials=2") == said
    with pytest.raises(NotTuned, match="another log, kind of model or settings"):
        invoke("--trials=2", "--set=seed=1")
