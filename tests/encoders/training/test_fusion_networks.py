"""What holds for every fusion network, and that learning and serving agree."""

from pathlib import Path

import numpy as np
import pytest
import torch

from encoders import fusion as served
from encoders.contract import DIM, PARTS
from encoders.projection import unit_rows
from encoders.torch_fusion import METHODS, export
from encoders.training import fusion

every_method = pytest.mark.parametrize("method", METHODS)


def some_vectors(items: int = 12, parts: int = len(PARTS), seed: int = 0) -> np.ndarray:
    """Unit vectors; every part is missing somewhere, no item lacks all."""
    generator = np.random.default_rng(seed)
    vectors = unit_rows(generator.standard_normal((items * parts, DIM)).astype(np.float32)).reshape(items, parts, DIM)
    vectors[np.arange(items), np.arange(items) % parts] = 0
    return vectors


@every_method
def test_an_untrained_network_is_the_average(method: str) -> None:
    vectors = some_vectors()
    np.testing.assert_allclose(
        fusion.fuse(METHODS[method](len(PARTS)).eval(), vectors), served.average(vectors), atol=1e-5
    )


@every_method
def test_a_trained_network_has_unit_length_and_ignores_absent_parts(method: str, tmp_path: Path) -> None:
    network, vectors = trained(method)
    fused = fusion.fuse(network, vectors)
    np.testing.assert_allclose(np.linalg.norm(fused, axis=1), 1, atol=1e-5)
    noisy = torch.from_numpy(vectors.copy())
    present = noisy.any(2)
    noisy[~present] = 7.0
    with torch.inference_mode():
        again = network(noisy * present.unsqueeze(2), present).numpy()
    np.testing.assert_allclose(again, fused, atol=1e-5)


@every_method
def test_the_served_network_is_the_trained_one(method: str, tmp_path: Path) -> None:
    network, vectors = trained(method)
    export(network, tmp_path)
    vectors = np.concatenate([vectors, np.zeros((1, len(PARTS), DIM), np.float32)])
    fused = served.load(tmp_path)(vectors)
    np.testing.assert_allclose(fused[:-1], fusion.fuse(network, vectors[:-1]), atol=1e-4)
    assert not fused[-1].any()


def trained(method: str) -> tuple[torch.nn.Module, np.ndarray]:
    """A network after a few steps, and the vectors it has seen."""
    vectors = some_vectors()
    generator = np.random.default_rng(1)
    histories = generator.integers(0, len(vectors), (64, fusion.HISTORY))
    learn = fusion.Clicks(histories, generator.integers(0, len(vectors), 64))
    network = METHODS[method](len(PARTS))
    return fusion.train(network, vectors, learn, np.arange(len(vectors)), epochs=3, learning_rate=1e-2), vectors


def test_learning_turns_to_the_part_that_people_choose_by() -> None:
    """Two tastes, told apart by the first part only; the second part is noise."""
    generator = np.random.default_rng(0)
    vectors = unit_rows(generator.standard_normal((200 * 2, DIM)).astype(np.float32)).reshape(200, 2, DIM)
    vectors[:100, 0, 0] += 1
    vectors[100:, 0, 1] += 1
    vectors = unit_rows(vectors.reshape(400, DIM)).reshape(200, 2, DIM)
    side = generator.integers(0, 2, 400)
    histories = generator.integers(0, 100, (400, fusion.HISTORY)) + 100 * side[:, None]
    learn = fusion.Clicks(histories, generator.integers(0, 100, 400) + 100 * side)
    network = fusion.train(
        METHODS["weighted average"](2), vectors, learn, np.arange(200), epochs=40, learning_rate=3e-2
    )
    first, second = torch.softmax(network.scores.flatten(), 0).tolist()
    assert first > second + 0.2


def test_clicks_never_look_ahead_and_never_count_cold_items() -> None:
    users = np.array([1, 1, 1, 1, 2, 1])
    items = np.array([0, 1, 9, 2, 0, 9])
    found = fusion.clicks(users, items, seen=np.array([0, 1, 2]), wanted=np.array([9]))
    assert found.nexts.tolist() == [9]
    assert found.histories[0, :4].tolist() == [0, 1, 2, -1]
