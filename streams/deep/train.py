"""`anabranch train click` and its like: from a log to a version that can be shipped."""

import copy
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from torch import distributed

from encoders.training.deep.compare import MEASURES
from encoders.training.deep.content import PARTS, content, profiles
from encoders.training.deep.export import export
from encoders.training.deep.judge import Calibration, Jury, Verdict
from encoders.training.deep.log import Log, Split, Window, splits
from encoders.training.deep.rankers import Served, Shape
from encoders.training.deep.task import Learning
from encoders.training.deep.trainer import Training, fit, whole
from streams.deep import source
from streams.errors import AnabranchError
from streams.settings import Settings

S = TypeVar("S", Shape, Training)


def with_changes(shape: Shape, training: Training, changes: Mapping[str, str]) -> tuple[Shape, Training]:
    """Both with some fields set, as typed. Raises AnabranchError for a field or a value that there is not."""
    known = {each.name for each in (*fields(Shape), *fields(Training))} - {"kind"}
    if unknown := set(changes) - known:
        raise AnabranchError(f"{min(unknown)!r} is no setting of a training: {', '.join(sorted(known))}")
    changed = _changed(shape, changes)
    if strange := set(changed.parts) - set(PARTS):
        raise AnabranchError(f"{min(strange)!r} is no part of items: {', '.join(PARTS)}")
    return changed, _changed(training, changes)


def _changed(settings: S, changes: Mapping[str, str]) -> S:
    mine: dict[str, Any] = {}
    for name, value in changes.items():
        if hasattr(settings, name):
            try:
                mine[name] = _read(getattr(settings, name), value)
            except ValueError as error:
                raise AnabranchError(f"{name}={value!r}: {error}") from None
    try:
        return replace(settings, **mine)
    except ValueError as error:
        raise AnabranchError(str(error)) from None


def _read(default: Any, value: str) -> Any:
    """A value as of the same type as the default."""
    if isinstance(default, tuple):
        return tuple(value.split("+"))
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise ValueError("true or false is wanted")
        return value == "true"
    return type(default)(value)


def train(
    settings: Settings,
    console: Console,
    *,
    where: str,
    shape: Shape,
    training: Training,
    checkpoint: Path | None,
    save: Path | None,
    shard: bool = False,
    clicks: int | None = None,
) -> dict[str, float]:
    """Train a model on all of a log but its last fifth, choose by the next tenth, and judge by the last.

    save   a folder for the version
    shard  whether processes share the weights out among them
    clicks that the log is taken to end with; None: all

    Raises AnabranchError for a checkpoint of shared weights.
    """
    if shard and checkpoint is not None:
        raise AnabranchError("a training whose weights are shared out among processes has no checkpoint")
    with _processes() as rank:
        console = console if rank == 0 else Console(quiet=True)
        log = source.read(where, settings, shape.parts)
        log = log if clicks is None else log.oldest(clicks)
        cache = settings.downloads_folder / "natives"
        split = splits(log, 1)[0]
        told = profiles(log, cache)
        validate, test = (Jury(log, window, told) for window in (split.validate, split.test))
        task = Learning(log, split, shape, content(log, shape.parts, cache), told, jury=validate, seed=training.seed)
        if torch.cuda.is_available():
            task.network.to("cuda")
        network = copy.deepcopy(task.network) if shard else task.network
        _fit(task, training, console, checkpoint, shard)
        if shard:
            network.load_state_dict(whole(task.network))
        served = Served.of(network)
        calibration = Calibration.of(validate.verdict(served))
        metrics = measured(test.verdict(served), calibration)
        if save is not None and rank == 0:
            export(network, calibration, log, description(log, split, shape, training, metrics), save)
    return metrics


def _fit(task: Learning, training: Training, console: Console, checkpoint: Path | None, shard: bool) -> None:
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    steps = -(-len(task) // training.batch)
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("training", total=training.epochs * steps)
        fit(
            task,
            training,
            checkpoint=checkpoint,
            shard=shard,
            on_step=lambda epoch, step, loss: progress.update(
                bar, completed=epoch * steps + step + 1, description=f"epoch {epoch + 1}, loss {loss:.3f}"
            ),
            on_epoch=lambda epoch, judgement: progress.console.print(f"epoch {epoch + 1}: judged {judgement:.4f}"),
        )


class _processes:
    """Meets the other processes where `torchrun` has started several; says which one this is."""

    def __enter__(self) -> int:
        self._several = int(os.environ.get("WORLD_SIZE", "1")) > 1
        if self._several:
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
            return distributed.get_rank()
        return 0

    def __exit__(self, *_: object) -> None:
        if self._several:
            distributed.destroy_process_group()


def measured(verdict: Verdict, calibration: Calibration) -> dict[str, float]:
    """Every measure of a model on what came later."""
    calibrated = replace(verdict, logits=calibration(verdict.logits))
    return {name: measure(calibrated) for name, measure in MEASURES.items()}


def description(
    log: Log, split: Split, shape: Shape, training: Training, metrics: Mapping[str, float]
) -> dict[str, Any]:
    """What `version.json` says of a training."""

    def times(window: Window) -> list[float]:
        return [max(window.start, float(log.at[0])), min(window.end, float(log.at[-1]))]

    return {
        "kind": shape.kind,
        "shape": asdict(shape),
        "training": asdict(training),
        "metrics": dict(metrics),
        "window": {name: times(getattr(split, name)) for name in ("train", "validate", "test")},
        "clicks": int(log.clicked.sum()),
        "trained_at": time.time(),
    }
