"""Fusion averages what is there and is not disturbed by what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.fusion import fuse
from streams.core.vectors import unit

MODALITIES = ["text", "image", "audio"]
WEIGHTS = {"text": 0.5, "image": 0.3, "audio": 0.2}
parts = st.dictionaries(
    st.sampled_from(MODALITIES),
    st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4).filter(lambda v: sum(x * x for x in v) > 0.01),
    min_size=1,
)


def test_nothing_fuses_to_nothing() -> None:
    assert fuse({}, WEIGHTS) is None


def test_a_modality_without_a_weight_counts_nothing() -> None:
    text, speech = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    fused = fuse({"text": text, "speech": speech}, WEIGHTS)
    assert fused is not None and fused.tolist() == [1, 0]
    assert fuse({"speech": speech}, WEIGHTS) is None


def test_the_heavier_modality_pulls_harder() -> None:
    text, image = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    fused = fuse({"text": text, "image": image}, WEIGHTS)
    assert fused is not None and fused[0] > fused[1] > 0


@given(parts)
def test_a_fused_vector_has_unit_length_whichever_modalities_are_missing(raw: dict[str, list[float]]) -> None:
    fused = fuse({name: unit(np.array(value, np.float32)) for name, value in raw.items()}, WEIGHTS)
    assert fused is not None and fused.dtype == np.float32
    assert float(np.linalg.norm(fused)) == pytest.approx(1, abs=1e-4) or not fused.any()


@given(parts)
def test_the_order_of_modalities_does_not_matter(raw: dict[str, list[float]]) -> None:
    vectors = {name: unit(np.array(value, np.float32)) for name, value in raw.items()}
    backwards = dict(reversed(vectors.items()))
    forth, back = fuse(vectors, WEIGHTS), fuse(backwards, WEIGHTS)
    assert forth is not None and back is not None
    np.testing.assert_allclose(forth, back, atol=2e-3)
