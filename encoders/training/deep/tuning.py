"""Settings of a model, found by trying: each trial is a training, and one that falls behind the others ends early.

A tree-structured Parzen estimator proposes (Bergstra and others, 2011; Optuna: Akiba and others, 2019); after an epoch
in which a trial is worse than half of the others were then, it is pruned. Trials are judged by the validation window
alone, so that the last one still judges what comes of it all.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.trial import Trial, TrialState

from encoders.training.deep.content import Content
from encoders.training.deep.judge import Jury
from encoders.training.deep.log import Log, Split
from encoders.training.deep.rankers import Shape
from encoders.training.deep.task import Floats, Learning
from encoders.training.deep.towers import MIXES
from encoders.training.deep.trainer import Training, fit

S = TypeVar("S", Shape, Training)

OF = "of"
BEFORE_PRUNING = 5
"""Trials that all end by themselves, so that there is something to fall behind."""

SPACE: Mapping[str, Callable[[Trial, str], Any]] = {
    "width": lambda trial, name: trial.suggest_categorical(name, [16, 32, 48, 64]),
    "dropout": lambda trial, name: trial.suggest_float(name, 0.0, 0.5),
    "mix": lambda trial, name: trial.suggest_categorical(name, list(MIXES)),
    "order": lambda trial, name: trial.suggest_categorical(name, ["transformer", "gru"]),
    "learning_rate": lambda trial, name: trial.suggest_float(name, 3e-4, 3e-2, log=True),
    "weight_decay": lambda trial, name: trial.suggest_float(name, 1e-3, 0.3, log=True),
    "batch": lambda trial, name: trial.suggest_categorical(name, [256, 512, 1024]),
}
"""What is searched, unless it is given."""


class StudyOfAnother(Exception):
    """A study was made with another log, another kind of model or other settings: its trials tell nothing of these."""


def searched(shape: Shape, given: Collection[str]) -> list[str]:
    """The settings that matter to such a model and are not given."""
    idle = {"mix"} if len(shape.parts) < 2 else set()
    if shape.kind != "sequence":
        idle.add("order")
    return [name for name in SPACE if name not in idle and name not in given]


def study(path: Path, of: str, *, seed: int = 0) -> optuna.Study:
    """The study in a file of SQLite; made where there is none.

    of  of what, see `name`

    Raises StudyOfAnother.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    found = optuna.create_study(study_name="anabranch", storage=storage, load_if_exists=True)
    # Another seed for whoever goes on: with the same, the first proposals would be made again.
    found.sampler = optuna.samplers.TPESampler(seed=seed + len(found.trials))
    found.pruner = optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING, n_warmup_steps=1)
    if OF not in found.user_attrs:
        found.set_user_attr(OF, of)
    if found.user_attrs[OF] != of:
        raise StudyOfAnother(f"{path} is a study of another log, kind of model or settings; name another file")
    return found


def name(log: Log, split: Split, shape: Shape, training: Training, free: Collection[str]) -> str:
    """Of all that trials have in common."""
    clicks = hashlib.sha256(log.users.tobytes() + log.items.tobytes() + log.at.tobytes()).hexdigest()
    return hashlib.sha256(f"{clicks} {split} {shape} {training} {sorted(free)}".encode()).hexdigest()[:16]


def over(study: optuna.Study) -> int:
    """Trials that ended, by themselves or pruned."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def tune(
    study: optuna.Study,
    log: Log,
    content: Content,
    profiles: Floats,
    split: Split,
    shape: Shape,
    training: Training,
    free: Collection[str],
    *,
    trials: int,
    advance: Callable[[], None] = lambda: None,
) -> Mapping[str, Any]:
    """The best settings, once so many trials have ended, those of earlier runs included.

    free     names out of `SPACE`; all others are as in `shape` and `training`
    advance  called after each trial
    """
    jury = Jury(log, split.validate, profiles)

    def judged(trial: Trial) -> float:
        chosen = {name: SPACE[name](trial, name) for name in free}
        mine, how = _with(shape, chosen), _with(training, chosen)

        def after(epoch: int, judgement: float) -> None:
            trial.report(judgement, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        task = Learning(log, split, mine, content, profiles, jury=jury, seed=how.seed)
        return fit(task, how, on_epoch=after).best

    study.optimize(judged, n_trials=max(0, trials - over(study)), callbacks=[lambda *_: advance()])
    return study.best_params


def _with(settings: S, chosen: Mapping[str, Any]) -> S:
    return replace(settings, **{name: value for name, value in chosen.items() if hasattr(settings, name)})
