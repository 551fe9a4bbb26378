"""A model made smaller still knows the two tastes, and is quicker where it is told to be."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from encoders.ranker import NETWORK, Ranker, check, verify
from encoders.training.deep.content import ITEM, TEXT
from encoders.training.deep.log import splits
from encoders.training.deep.rankers import Shape
from encoders.training.deep.shrink import FUSED, STEPWISE, Smaller, pruned, shrink, table
from encoders.training.deep.task import Learning
from encoders.training.deep.towers import Layers
from encoders.training.deep.trainer import Training
from tests.encoders.training.deep.worlds import nobody, two_tastes, vectors

SHAPE = Shape("click", parts=(ITEM, TEXT), width=64)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Smaller]:
    log = two_tastes()
    [split] = splits(log, 1)
    training = Training(epochs=4, batch=128, learning_rate=0.05, patience=4)
    content = {ITEM: np.arange(40), TEXT: vectors(40)}
    return shrink(log, split, SHAPE, content, nobody(log), training, tmp_path_factory.mktemp("versions"))


def test_every_smaller_model_is_nearly_as_good_as_the_one_it_was_made_from(found: dict[str, Smaller]) -> None:
    assert len(found) == 8 and found[FUSED].auc > 0.85
    for name, each in found.items():
        assert each.auc > 0.95 * found[FUSED].auc, name


def test_fewer_steps_give_the_same_answers(found: dict[str, Smaller]) -> None:
    asked, expected = check(found[STEPWISE].folder)
    np.testing.assert_allclose(Ranker(found[FUSED].folder)(asked), expected, atol=1e-4)
    assert found[FUSED].logloss == pytest.approx(found[STEPWISE].logloss, abs=1e-5)


def test_int8_takes_far_less_than_half_of_the_size_and_answers_nearly_the_same(found: dict[str, Smaller]) -> None:
    for name in (FUSED, "pruned", "distilled, pruned"):
        small = found[f"{name}, int8"]
        assert tables(small.folder) < 0.3 * tables(found[name].folder)
        assert small.logloss == pytest.approx(found[name].logloss, rel=0.01)
    assert found["distilled, pruned"].megabytes < found["pruned"].megabytes < found[FUSED].megabytes


def tables(folder: Path) -> int:
    """Bytes of the tables of items in a network."""
    weights = onnx.load(folder / NETWORK).graph.initializer
    return sum(len(each.raw_data) for each in weights if each.dims[0:1] == [41])


def test_each_is_a_version_that_answers_as_it_was_sealed(found: dict[str, Smaller]) -> None:
    for name, each in found.items():
        asked, expected = check(each.folder)
        np.testing.assert_allclose(Ranker(each.folder)(asked), expected, atol=1e-4, err_msg=name)
        assert verify(each.folder)["made"] in name


def test_pruning_keeps_the_units_that_say_most() -> None:
    log = two_tastes()
    shape = Shape("click", parts=(ITEM,), width=8)
    ranker = Learning(log, splits(log, 1)[0], shape, {}, nobody(log)).network
    layers = ranker.meet
    assert isinstance(layers, Layers)
    layers.out.weight.data[:] = 0.001
    layers.out.weight.data[0, [2, 5]] = 7.0
    wanted = layers.item.weight.data[[2, 5]].clone()
    pruned(ranker, 0.25)
    assert layers.out.weight.shape == (1, 2) and (layers.out.weight == 7.0).all()
    assert sorted(layers.item.weight.data[:, 0].tolist()) == sorted(wanted[:, 0].tolist())


def test_the_table_compares_with_the_model_in_the_steps_of_training() -> None:
    first = Smaller(Path(), 2.0, [4.0, 2.0, 1.0], 0.9, 0.50, 0.08)
    quick = Smaller(Path(), 0.5, [2.0, 0.5, 0.25], 0.89, 0.505, 0.07)
    row = "| quick | 0.50 | 2.00 (2.0x) | 0.50 (4.0x) | 0.25 (4.0x) | 0.8900 | 0.5050 | +1.00% | 0.0700 |"
    assert row in table({STEPWISE: first, "quick": quick})
