"""What is as long as the catalogue grows with it, and takes no memory for what is not there."""

import numpy as np
import psutil
import pytest

from streams.core.catalogue import BLOCK, longer

ROW = 256  # float32 of a row: 1 KiB


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(1,), (5,), (3 * BLOCK + 7,), (1, 3), (4_099, ROW), (2, 0)])
def test_what_was_there_stays_and_the_rest_is_zero(shape: tuple[int, ...], kind: type[np.generic]) -> None:
    array = np.zeros(shape, kind)
    if array.size:
        array.reshape(-1)[:: max(1, array.size // 5)] = 1
    grown = longer(array, 2 * len(array))
    assert grown.dtype == array.dtype and grown.shape == (2 * len(array), *shape[1:])
    np.testing.assert_array_equal(grown[: len(array)], array)
    assert not grown[len(array) :].any()


def test_a_zero_keeps_its_sign() -> None:
    assert np.signbit(longer(np.array([-0.0, 0.0]), 4)).tolist() == [True, False, False, False]


def test_rows_that_were_never_touched_take_no_memory_when_others_are_added() -> None:
    array = np.zeros((256 * 1024, ROW), np.float32)  # 256 MiB, of which two rows are in use
    array[[0, 200_000]] = 1.0
    before = psutil.Process().memory_info().rss
    grown = longer(array, 2 * len(array))
    assert psutil.Process().memory_info().rss - before < 32 * 1024 * 1024
    assert grown[0].all() and grown[200_000].all()
