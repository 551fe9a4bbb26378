"""The worker fuses with a trained network as the Triton model does."""

from pathlib import Path

import numpy as np
import pytest

from encoders import torch_fusion
from encoders.contract import DIM, PARTS
from streams.adapters.fusion import LearnedFusion
from streams.core.fusion import fuse
from streams.core.vectors import Vector, unit


def vector(seed: int) -> Vector:
    return unit(np.random.default_rng(seed).standard_normal(DIM).astype(np.float32))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> LearnedFusion:
    """Every learned way starts as the plain average, so what it should say is known."""
    folder = tmp_path_factory.mktemp("fusion")
    torch_fusion.export(torch_fusion.Attention([1 / len(PARTS)] * len(PARTS)), PARTS, folder)
    return LearnedFusion(folder)


@pytest.mark.parametrize("parts", [["text"], ["text", "image"], list(PARTS)])
def test_whatever_parts_an_item_has_they_become_one_unit_vector(untrained: LearnedFusion, parts: list[str]) -> None:
    vectors = {name: vector(seed) for seed, name in enumerate(parts)}
    fused = untrained(vectors)
    expected = fuse(vectors, dict.fromkeys(PARTS, 1.0))
    assert fused is not None and expected is not None
    np.testing.assert_allclose(fused, expected, atol=1e-4)


def test_nothing_fuses_to_nothing(untrained: LearnedFusion) -> None:
    assert untrained({}) is None


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"fusion\.onnx is missing"):
        LearnedFusion(tmp_path)
