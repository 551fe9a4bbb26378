"""A training can be killed, spread over processes, cut in pieces: what is learned stays the same."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor

from encoders.training.deep.trainer import CheckpointOfAnother, Trained, Training, fit, whole

torch.set_num_threads(1)

EXAMPLES = 100
QUICK = Training(epochs=4, batch=16, patience=9, every=2)


PIECES = replace(QUICK, accumulate=2)


class Line(nn.Module):
    """Learns to answer 3 x + 1; with dropout, so that chance has a part."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(dropout), nn.Linear(8, 1))

    def forward(self, given: Tensor, wanted: Tensor) -> Tensor:
        return (self.layers(given)[:, 0] - wanted).square()


class Lines:
    """The task: noise is added anew in every step."""

    def __init__(self, dropout: float = 0.2) -> None:
        torch.manual_seed(0)
        self.network = Line(dropout)
        generator = np.random.default_rng(0)
        self.given = generator.random((EXAMPLES, 4)).astype(np.float32)
        self.wanted = 3 * self.given.sum(1) + 1

    def __len__(self) -> int:
        return EXAMPLES

    def batch(self, rows: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, ...]:
        noise = generator.standard_normal((len(rows), 4)).astype(np.float32) * 0.01
        return torch.from_numpy(self.given[rows] + noise), torch.from_numpy(self.wanted[rows])

    def judge(self) -> float:
        return self.network(torch.from_numpy(self.given), torch.from_numpy(self.wanted)).mean().item()


class Stopped(Exception):
    """Power is cut."""


def test_training_makes_the_loss_smaller_and_keeps_the_best_epoch() -> None:
    task = Lines()
    found = fit(task, Training(epochs=20, batch=16, learning_rate=0.03))
    assert found.losses[-1] < found.losses[0] / 4
    assert task.judge() == pytest.approx(found.best, abs=1e-6)


@pytest.mark.parametrize("stop_at", [(0, 3), (2, 0), (2, 5)], ids=str)
def test_a_training_that_stops_between_two_steps_resumes_to_the_very_same(
    stop_at: tuple[int, int], tmp_path: Path
) -> None:
    whole = Lines()
    expected = fit(whole, QUICK)

    def cut(epoch: int, step: int, loss: float) -> None:
        if (epoch, step) == stop_at:
            raise Stopped

    with pytest.raises(Stopped):
        fit(Lines(), QUICK, checkpoint=tmp_path / "c.pt", on_step=cut)
    resumed = Lines()
    torch.rand(7)  # wherever chance stands in the new process
    assert fit(resumed, QUICK, checkpoint=tmp_path / "c.pt") == expected
    _equal(resumed.network, whole.network)


def test_a_training_whose_process_is_killed_resumes_to_the_very_same(tmp_path: Path) -> None:
    def kill(epoch: int, step: int, loss: float) -> None:
        if (epoch, step) == (2, 3):
            os.kill(os.getpid(), signal.SIGKILL)

    _in_processes(lambda rank: fit(Lines(), QUICK, checkpoint=tmp_path / "c.pt", on_step=kill), 1, ends=-signal.SIGKILL)
    resumed, whole = Lines(), Lines()
    assert fit(resumed, QUICK, checkpoint=tmp_path / "c.pt") == fit(whole, QUICK)
    _equal(resumed.network, whole.network)


@pytest.mark.parametrize("shard", [False, True], ids=["each with all weights", "each with its share"])
def test_two_processes_learn_what_one_does(tmp_path: Path, shard: bool) -> None:
    def one_of_two(rank: int) -> None:
        where = f"file://{tmp_path / 'meeting'}"
        distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=2)
        task = Lines(dropout=0.0)
        shares: set[int] = set()
        found = fit(
            task,
            PIECES,
            checkpoint=None if shard else tmp_path / "c.pt",
            shard=shard,
            on_step=lambda *_: shares.add(sum(map(_held, task.network.parameters()))),
        )
        all_of_it = sum(each.numel() for each in Lines().network.parameters())
        assert max(shares) < 0.7 * all_of_it if shard else shares == {all_of_it}
        told = [list(found.losses), list(found.judgements), whole(task.network)]
        torch.save(told, tmp_path / f"{rank}.pt")

    _in_processes(one_of_two, 2)
    one = Lines(dropout=0.0)
    expected = fit(one, QUICK)
    for rank in (0, 1):
        losses, judgements, weights = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert losses == pytest.approx(expected.losses, rel=1e-4)
        assert judgements == pytest.approx(expected.judgements, rel=1e-4)
        for name, tensor in one.network.state_dict().items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-5)


def test_shared_weights_have_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shared out among processes has no checkpoint"):
        fit(Lines(), QUICK, checkpoint=tmp_path / "c.pt", shard=True)


def test_a_batch_in_pieces_teaches_the_same() -> None:
    whole, pieces = Lines(dropout=0.0), Lines(dropout=0.0)
    expected = fit(whole, QUICK)
    found = fit(pieces, Training(epochs=4, batch=16, patience=9, accumulate=3))
    assert found.judgements == pytest.approx(expected.judgements, rel=1e-4)


def test_bfloat16_learns_nearly_as_well() -> None:
    settings = {"epochs": 20, "batch": 16, "learning_rate": 0.03}
    exact, short = (fit(Lines(), Training(precision=each, **settings)) for each in ("float32", "bfloat16"))
    assert short.best < exact.losses[0] / 4


def test_training_ends_once_nothing_has_become_better() -> None:
    class Flat(Lines):
        judged = 0

        def judge(self) -> float:
            self.judged += 1
            return [3.0, 1.0, 2.0, 2.0, 0.0][self.judged - 1]

    found = fit(Flat(), Training(epochs=5, batch=50, patience=2))
    assert found == Trained(found.losses, [3.0, 1.0, 2.0, 2.0])


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    fit(Lines(), QUICK, checkpoint=tmp_path / "c.pt")
    with pytest.raises(CheckpointOfAnother, match=r"'seed': 0.*'seed': 1"):
        fit(Lines(), Training(epochs=4, batch=16, patience=9, seed=1), checkpoint=tmp_path / "c.pt")


def _equal(one: nn.Module, other: nn.Module) -> None:
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def _held(weights: Tensor) -> int:
    """Numbers of a weight that this process holds."""
    return weights.to_local().numel() if isinstance(weights, DTensor) else weights.numel()


def _in_processes(run: Callable[[int], object], count: int, *, ends: int = 0) -> None:
    """Run it in so many processes at once, forked: importing torch again would take longer than the test."""

    def alone(rank: int) -> None:
        torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
        run(rank)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=alone, args=(rank,)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [ends] * count
