"""`anabranch retrain`: one command from the log to a canary, to be run every night."""

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from encoders.training.deep.rankers import Shape
from encoders.training.deep.trainer import Training
from streams.deep.registry import Registry
from streams.deep.train import train
from streams.errors import AnabranchError
from streams.settings import Settings

LEAST_AUC = 0.55


class NotRetrained(AnabranchError):
    """A model was not trained, or is not worth trying on anybody; what is served stays as it is."""


def retrain(
    settings: Settings,
    console: Console,
    registry: Registry,
    *,
    where: str,
    shape: Shape,
    training: Training,
    share: float,
) -> tuple[int, dict[str, float]]:
    """The number of the canary, and how good it was on the latest clicks.

    Raises NotRetrained where a canary is undecided yet, or where the model can hardly tell clicks from others; and
    ModelRefused.
    """
    if canary := registry.state.canary:
        raise NotRetrained(f"version {canary} is still being tried; first: anabranch models decide")
    with TemporaryDirectory() as folder:
        version = Path(folder) / "version"
        metrics = train(settings, console, where=where, shape=shape, training=training, checkpoint=None, save=version)
        if metrics["AUC"] < LEAST_AUC:
            raise NotRetrained(
                f"the model has an AUC of {metrics['AUC']:.3f}, where {LEAST_AUC} is the least to be tried"
            )
        number = registry.ship(version)
    registry.canary(number, share)
    return number, metrics
