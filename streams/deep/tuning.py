"""`anabranch tune`: the settings that a model learns a log best with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from encoders.training.deep import tuning
from encoders.training.deep.content import content, profiles
from encoders.training.deep.log import splits
from encoders.training.deep.rankers import Shape
from encoders.training.deep.trainer import Training
from streams.deep import source
from streams.deep.train import with_changes
from streams.errors import AnabranchError
from streams.settings import Settings


class NotTuned(AnabranchError):
    """A study cannot be gone on with."""


def run(
    settings: Settings,
    console: Console,
    *,
    where: str,
    kind: str,
    given: Mapping[str, str],
    trials: int,
    study: Path,
) -> tuple[Mapping[str, Any], float, int]:
    """The best settings, their judgement, and how many trials were pruned.

    given   settings that are not searched
    trials  that the study shall have in the end
    """
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shape, training = with_changes(Shape(kind), Training(), given)
    free = tuning.searched(shape, given)
    log, cache = source.read(where, settings, shape.parts), settings.downloads_folder / "natives"
    [split] = splits(log, 1)
    try:
        found = tuning.study(study, tuning.name(log, split, shape, training, free), seed=training.seed)
    except tuning.StudyOfAnother as error:
        raise NotTuned(str(error)) from error
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("trials", total=trials, completed=tuning.over(found))
        best = tuning.tune(
            found,
            log,
            content(log, shape.parts, cache),
            profiles(log, cache),
            split,
            shape,
            training,
            free,
            trials=trials,
            advance=lambda: progress.update(bar, advance=1),
        )
    pruned = sum(trial.state is optuna.trial.TrialState.PRUNED for trial in found.trials)
    return best, found.best_value, pruned
