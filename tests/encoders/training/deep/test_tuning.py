"""In a world where one rate learns and the other does not, the one that learns is found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import Trial, TrialState

from encoders.training.deep import tuning
from encoders.training.deep.log import Log, splits
from encoders.training.deep.rankers import Shape
from encoders.training.deep.trainer import Training
from tests.encoders.training.deep.worlds import nobody, two_tastes

IDLE, GOOD = 1e-7, 0.05
SHAPE = Shape("tower", parts=("item",), width=8, profiles=False, dropout=0.0)
TRAINING = Training(epochs=3, batch=256)


@pytest.fixture(autouse=True)
def two_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    def rate(trial: Trial, name: str) -> Any:
        return trial.suggest_categorical(name, [IDLE, GOOD])

    monkeypatch.setattr(tuning, "SPACE", {"learning_rate": rate})
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def tuned(path: Path, trials: int, log: Log | None = None) -> optuna.Study:
    log = log or two_tastes()
    [split] = splits(log, 1)
    study = tuning.study(path, "two rates")
    found = tuning.tune(study, log, {}, nobody(log), split, SHAPE, TRAINING, ["learning_rate"], trials=trials)
    assert found == {"learning_rate": GOOD}
    return study


def test_what_learns_is_found_and_what_falls_behind_is_ended_early(tmp_path: Path) -> None:
    study = tuned(tmp_path / "study.db", 12)
    pruned = study.get_trials(states=(TrialState.PRUNED,))
    assert pruned and all(trial.params == {"learning_rate": IDLE} for trial in pruned)
    assert all(len(trial.intermediate_values) < TRAINING.epochs for trial in pruned)


def test_a_study_goes_on_where_it_was_and_does_not_begin_again(tmp_path: Path) -> None:
    first = tuned(tmp_path / "study.db", 4).trials
    second = tuned(tmp_path / "study.db", 6).trials
    assert [trial.datetime_start for trial in second[:4]] == [trial.datetime_start for trial in first]
    assert len(second) == 6
    assert len(tuned(tmp_path / "study.db", 6).trials) == 6


def test_the_window_that_judges_in_the_end_is_not_looked_at(tmp_path: Path) -> None:
    log = two_tastes()
    [split] = splits(log, 1)
    items = log.items.copy()
    last = log.at >= split.test.start
    items[last] = np.random.default_rng(0).permutation(items[last])
    values = [
        [trial.value for trial in tuned(tmp_path / f"{number}.db", 3, each).trials]
        for number, each in enumerate((log, replace(log, items=items)))
    ]
    assert values[0] == values[1]


def test_a_study_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    tuning.study(tmp_path / "study.db", "one")
    with pytest.raises(tuning.StudyOfAnother, match=r"study\.db is a study of another log"):
        tuning.study(tmp_path / "study.db", "other")


def test_only_what_matters_to_a_model_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert "mix" not in tuning.searched(Shape("mf"), ()) and "order" not in tuning.searched(Shape("click"), ())
    assert {"mix", "order"} <= set(tuning.searched(Shape("sequence"), ()))
    assert "width" not in tuning.searched(Shape("click"), {"width": "32"})
