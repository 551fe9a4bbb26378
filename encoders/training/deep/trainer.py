"""One way to train every network: AdamW, early stopping, checkpoints that go on where they stopped, many processes.

Plain torch rather than Lightning or accelerate: what is needed of them is this file, while a loop of our own is what
lets the randomness of a step depend on the step's number alone. So a training that was killed and resumed, or spread
over processes, computes what it would have computed otherwise.

Many processes: start them with `torchrun` and call `torch.distributed.init_process_group`; each takes its share of
every batch, and gradients are averaged (DistributedDataParallel). With `shard` each also keeps only its share of the
weights and of what the optimiser knows of them, and they are put together where they are needed (FSDP2: Zhao and
others, 2023).
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

Places = NDArray[np.int64]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Task(Protocol):
    """What is to be learned."""

    @property
    def network(self) -> nn.Module:
        """What learns."""

    def __len__(self) -> int:
        """Examples in an epoch."""

    def batch(self, rows: Places, generator: np.random.Generator) -> tuple[Tensor, ...]:
        """What the network is to be called with, a row for each of these examples; it answers with the loss of each."""

    def judge(self) -> float:
        """How far from right the network is on what it did not learn from: the lower the better."""


@dataclass(frozen=True, slots=True)
class Training:
    """How to train.

    batch         examples in a step, of all processes together
    weight_decay  L2, decoupled (AdamW: Loshchilov and Hutter, 2019); of matrices, not of biases and norms
    clip          length of the gradient at most
    patience      epochs without a better judgement, after which it ends
    precision     'float32', or 'bfloat16' for what autocast may compute in it
    accumulate    pieces that a process computes its share of a batch in, one after the other, to need less memory
    every         steps between two checkpoints
    """

    epochs: int = 15
    batch: int = 512
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    clip: float = 1.0
    patience: int = 2
    precision: str = "float32"
    accumulate: int = 1
    seed: int = 0
    every: int = 50

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}, where one of {', '.join(PRECISIONS)} is allowed")


@dataclass(frozen=True, slots=True)
class Trained:
    """How it went; the network has the weights of the best epoch.

    losses      mean training loss of each epoch
    judgements  after each epoch
    """

    losses: Sequence[float]
    judgements: Sequence[float]

    @property
    def best(self) -> float:
        """The best judgement."""
        return min(self.judgements)


class CheckpointOfAnother(Exception):
    """A checkpoint belongs to another training; it would be resumed as something that was not asked for."""


def fit(
    task: Task,
    training: Training,
    *,
    checkpoint: Path | None = None,
    shard: bool = False,
    on_step: Callable[[int, int, float], None] = lambda epoch, step, loss: None,
    on_epoch: Callable[[int, float], None] = lambda epoch, judgement: None,
) -> Trained:
    """Train the task's network.

    checkpoint  file to resume from where it is there, and written as training goes; all processes must see it
    shard       whether processes share the weights out among them: then without a checkpoint, and `whole` has them all
    on_step     told the epoch, the step in it, from 0, and its loss
    on_epoch    told the epoch and its judgement; what it raises ends the training, as pruning does

    Raises CheckpointOfAnother, and ValueError for a checkpoint of shared weights.
    """
    if shard and checkpoint is not None:
        raise ValueError("a training whose weights are shared out among processes has no checkpoint")
    run = _Run(task, training, shard)
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint)
    while not run.is_over():
        for step in range(run.step, run.steps):
            on_step(run.epoch, step, run.take(step))
            if checkpoint is not None and (step + 1) % training.every == 0:
                run.save(checkpoint)
        run.end_epoch()
        if checkpoint is not None:
            run.save(checkpoint)
        on_epoch(run.epoch - 1, run.judgements[-1])
    run.network.load_state_dict(run.best_weights)
    run.network.eval()
    return Trained(run.losses, run.judgements)


class _Run:
    """A training in progress: all that a checkpoint holds, and how to go on."""

    def __init__(self, task: Task, training: Training, shard: bool = False) -> None:
        self.task, self.training = task, training
        self.network = task.network
        several = distributed.is_available() and distributed.is_initialized()
        if several and shard:
            fully_shard(self.network)
        self.epoch = self.step = 0
        self.loss = 0.0
        self.losses: list[float] = []
        self.judgements: list[float] = []
        self.best_weights = _copied(self.network)
        self.steps = math.ceil(len(task) / training.batch)
        self.rank, self.processes = 0, 1
        self.called: nn.Module = self.network
        if several:
            self.rank, self.processes = distributed.get_rank(), distributed.get_world_size()
            self.called = self.network if shard else DistributedDataParallel(self.network)
        groups: list[dict[str, Any]] = [
            {"params": [each for each in self.network.parameters() if each.dim() > 1]},
            {"params": [each for each in self.network.parameters() if each.dim() <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(
            groups,
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
        )

    def is_over(self) -> bool:
        """All epochs done, or none of the last ones better than one before."""
        since = len(self.judgements) - 1 - int(np.argmin(self.judgements)) if self.judgements else 0
        return self.epoch >= self.training.epochs or since >= self.training.patience

    def take(self, step: int) -> float:
        """One step; its loss."""
        seed, size = self.training.seed, self.training.batch
        order = np.random.default_rng([seed, self.epoch]).permutation(len(self.task))
        rows = order[step * size : (step + 1) * size]
        batch = self.task.batch(rows, np.random.default_rng([seed, self.epoch, step]))
        torch.manual_seed(int(np.random.SeedSequence([seed, self.epoch, step, self.rank]).generate_state(1)[0]))
        self.network.train()
        self.optimiser.zero_grad()
        total = 0.0
        share = np.arange(self.rank, len(rows), self.processes)
        pieces = [each for each in np.array_split(share, self.training.accumulate) if len(each)]
        for number, piece in enumerate(pieces, 1):
            with self._synchronised(number == len(pieces)):
                # Averaged over processes, the sum over all examples divided by their number.
                loss = self._losses(batch, piece).sum() * (self.processes / len(rows))
                loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(self.network.parameters(), self.training.clip)
        self.optimiser.step()
        total = self._mean(total)
        self.step, self.loss = step + 1, self.loss + total
        return total

    def end_epoch(self) -> None:
        """Judge the network, and keep its weights if they are the best."""
        self.network.eval()
        if isinstance(self.network, FSDPModule):
            self.network.unshard()  # judges call parts of a network by themselves
        with torch.inference_mode():
            judgement = self.task.judge()
        if isinstance(self.network, FSDPModule):
            self.network.reshard()
        if not self.judgements or judgement < min(self.judgements):
            self.best_weights = _copied(self.network)
        self.judgements.append(judgement)
        self.losses.append(self.loss / self.steps)
        self.epoch, self.step, self.loss = self.epoch + 1, 0, 0.0

    def save(self, path: Path) -> None:
        """Written aside first: a process that dies meanwhile leaves the checkpoint of before."""
        if self.rank == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".part")
            torch.save(
                {
                    "of": self._name(),
                    "network": self.network.state_dict(),
                    "best": self.best_weights,
                    "optimiser": self.optimiser.state_dict(),
                    "progress": [self.epoch, self.step, self.loss, self.losses, self.judgements],
                },
                aside,
            )
            aside.replace(path)

    def load(self, path: Path) -> None:
        stored = torch.load(path, weights_only=True)
        if stored["of"] != self._name():
            raise CheckpointOfAnother(f"{path} is of a training with {stored['of']}, and this one has {self._name()}")
        self.network.load_state_dict(stored["network"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.best_weights = stored["best"]
        self.epoch, self.step, self.loss, self.losses, self.judgements = stored["progress"]

    def _name(self) -> dict[str, Any]:
        """What has to be equal for a checkpoint to be of use; more epochs may be wanted than before."""
        settings = {name: value for name, value in asdict(self.training).items() if name not in ("epochs", "every")}
        weights = sum(each.numel() for each in self.network.parameters())
        return settings | {"examples": len(self.task), "weights": weights}

    def _losses(self, batch: tuple[Tensor, ...], piece: Places) -> Tensor:
        tensors = (each[torch.from_numpy(piece)] for each in batch)
        device = next(self.network.parameters()).device
        precision = PRECISIONS[self.training.precision]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
            losses: Tensor = self.called(*(each.to(device) for each in tensors))
        return losses.float()

    def _synchronised(self, wanted: bool) -> contextlib.AbstractContextManager[None]:
        """Processes exchange gradients after the last piece alone."""
        if isinstance(self.called, FSDPModule):
            self.called.set_requires_gradient_sync(wanted)
        if wanted or not isinstance(self.called, DistributedDataParallel):
            return contextlib.nullcontext()
        quiet: contextlib.AbstractContextManager[None] = self.called.no_sync()
        return quiet

    def _mean(self, value: float) -> float:
        """Over the processes."""
        if self.processes == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(shared)
        return float(shared) / self.processes


def whole(network: nn.Module) -> dict[str, Tensor]:
    """Every weight in full, of a network that may be shared out among processes; all of them must ask."""
    weights = network.state_dict().items()
    return {name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor for name, tensor in weights}


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
