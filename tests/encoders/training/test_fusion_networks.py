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
from streams.core.fusion import fuse

every_method = pytest.mark.parametrize("method", METHODS)
WEIGHTS = (0.4, 0.3, 0.1, 0.1, 0.1)


def some_vectors(items: int = 12, parts: int = len(PARTS), seed: int = 0) -> np.ndarray:
    """Unit vectors; every part is missing somewhere, no item lacks all."""
    generator = np.random.default_rng(seed)
    vectors = unit_rows(generator.standard_normal((items * parts, DIM)).astype(np.float32)).reshape(items, parts, DIM)
    vectors[np.arange(items), np.arange(items) % parts] = 0
    return vectors


@every_method
def test_an_untrained_network_is_the_weighted_average(method: str) -> None:
    vectors = some_vectors()
    found = fusion.fuse(METHODS[method](WEIGHTS).eval(), vectors)
    expected = [fuse(dict(zip(PARTS, row, strict=True)), dict(zip(PARTS, WEIGHTS, strict=True))) for row in vectors]
    np.testing.assert_allclose(found, np.stack([each for each in expected if each is not None]), atol=1e-5)


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
    export(network, PARTS, tmp_path)
    vectors = np.concatenate([vectors, np.zeros((1, len(PARTS), DIM), np.float32)])
    fused = served.load(tmp_path)(vectors)
    np.testing.assert_allclose(fused[:-1], fusion.fuse(network, vectors[:-1]), atol=1e-4)
    assert not fused[-1].any()


def trained(method: str) -> tuple[torch.nn.Module, np.ndarray]:
    """A network after a few steps, and the vectors it has seen."""
    vectors = some_vectors()
    generator = np.random.default_rng(1)
    histories = generator.integers(0, len(vectors), (64, fusion.HISTORY))
    learn = fusion.Clicks(np.arange(64), histories, generator.integers(0, len(vectors), 64))
    network = METHODS[method](WEIGHTS)
    return fusion.train(network, vectors, learn, np.arange(len(vectors)), steps=3, learning_rate=1e-2), vectors


def test_learning_turns_to_the_part_that_people_choose_by() -> None:
    """Two tastes, told apart by the first part only; the second part is noise."""
    generator = np.random.default_rng(0)
    vectors = unit_rows(generator.standard_normal((200 * 2, DIM)).astype(np.float32)).reshape(200, 2, DIM)
    vectors[:100, 0, 0] += 1
    vectors[100:, 0, 1] += 1
    vectors = unit_rows(vectors.reshape(400, DIM)).reshape(200, 2, DIM)
    side = generator.integers(0, 2, 400)
    histories = generator.integers(0, 100, (400, fusion.HISTORY)) + 100 * side[:, None]
    learn = fusion.Clicks(np.arange(400), histories, generator.integers(0, 100, 400) + 100 * side)
    network = METHODS["weighted average"]((0.5, 0.5))
    fusion.train(network, vectors, learn, np.arange(200), steps=40, learning_rate=3e-2)
    first, second = network.weights()
    assert first > second + 0.2


def test_clicks_never_look_ahead_and_never_count_cold_items() -> None:
    users = np.array([1, 1, 1, 1, 2, 1])
    items = np.array([0, 1, 9, 2, 0, 9])
    found = fusion.clicks(users, items, seen=np.array([0, 1, 2]), wanted=np.array([9]))
    assert found.nexts.tolist() == [9]
    assert found.histories[0, :4].tolist() == [0, 1, 2, -1]
    assert found.users.tolist() == [1]


def test_items_that_cannot_be_told_apart_share_the_middle_of_their_ranks() -> None:
    same = np.tile(np.eye(1, DIM, dtype=np.float32), (5, 1))
    judge = fusion.Clicks(np.array([1]), np.array([[0] + [-1] * (fusion.HISTORY - 1)]), np.array([3]))
    assert fusion.ranks(same, judge, candidates=np.arange(1, 5)).tolist() == [1.5]


def test_parts_that_a_network_was_not_made_for_count_only_in_items_that_have_nothing_else(tmp_path: Path) -> None:
    export(METHODS["attention"]((0.5, 0.5)), ("text", "image"), tmp_path)
    vectors = some_vectors()
    vectors[0, :2] = 0
    known = np.zeros_like(vectors)
    known[:, :2] = vectors[:, :2]
    found = served.load(tmp_path)(vectors)
    np.testing.assert_allclose(found[1:], served.average(known)[1:], atol=1e-5)
    np.testing.assert_allclose(found[0], served.average(vectors)[0], atol=1e-5)
