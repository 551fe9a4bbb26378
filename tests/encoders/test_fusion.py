import numpy as np

from encoders import fusion


def test_the_average_has_unit_length_and_ignores_absent_parts() -> None:
    vectors = np.zeros((3, 5, 4), np.float32)
    vectors[0, 0, 0] = vectors[1, 0, 0] = vectors[1, 3, 1] = 1
    fused = fusion.average(vectors)
    np.testing.assert_allclose(fused, [[1, 0, 0, 0], [0.5**0.5, 0.5**0.5, 0, 0], [0, 0, 0, 0]], atol=1e-6)


def test_without_a_trained_network_the_average_is_served() -> None:
    assert fusion.load() is fusion.average
