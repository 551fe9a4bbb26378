"""What is served is what was trained, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.contract import Question, item_key
from encoders.errors import WeightsUnusable
from encoders.ranker import ITEMS, NETWORK, Ranker, check, verify
from encoders.training.deep.content import ITEM, TEXT
from encoders.training.deep.export import export, question
from encoders.training.deep.judge import Calibration
from encoders.training.deep.log import Log, splits
from encoders.training.deep.rankers import KINDS, Served, Shape
from encoders.training.deep.task import Learning
from tests.encoders.training.deep.worlds import nobody, two_tastes, vectors

ORDERS = [(kind, "transformer") for kind in KINDS] + [("sequence", "gru")]


def version(folder: Path, kind: str = "click", order: str = "transformer") -> tuple[Learning, Log]:
    """A model that has learned nothing yet, exported."""
    log = two_tastes()
    shape = Shape(kind, parts=(ITEM, TEXT), order=order, width=16)
    task = Learning(log, splits(log, 1)[0], shape, {TEXT: vectors(40)}, nobody(log))
    task.network.eval()
    export(task.network, Calibration(2.0, -1.0), log, {"kind": kind}, folder)
    return task, log


@pytest.mark.parametrize(("kind", "order"), ORDERS)
def test_the_served_ranker_is_the_trained_one(kind: str, order: str, tmp_path: Path) -> None:
    task, log = version(tmp_path, kind, order)
    places = np.array([[-1] * 17 + [3, 1, 2], [-1] * 20])
    keys = np.array([item_key(item_id) for item_id in log.item_ids])
    profile = np.random.default_rng(0).standard_normal((2, 256)).astype(np.float32)
    asked = Question(np.where(places < 0, 0, keys[places]), profile, np.stack([keys, keys[::-1]]))
    found = Ranker(tmp_path)(asked)
    expected = 2 * Served.of(task.network).scores(torch.from_numpy(places), torch.from_numpy(profile)).numpy() - 1
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)
    np.testing.assert_allclose(found[1], expected[1, ::-1], atol=1e-4)


def test_of_an_item_that_came_later_it_says_nothing(tmp_path: Path) -> None:
    version(tmp_path)
    asked = question(1, 3, tmp_path)
    asked.candidates[0, 1] = item_key("new")
    assert np.isnan(Ranker(tmp_path)(asked)).tolist() == [[False, True, False]]


def test_a_version_answers_as_it_did_when_it_was_written(tmp_path: Path) -> None:
    version(tmp_path)
    asked, expected = check(tmp_path)
    np.testing.assert_allclose(Ranker(tmp_path)(asked), expected, atol=1e-4)


@pytest.mark.parametrize("name", [NETWORK, ITEMS])
def test_a_damaged_version_is_refused_by_the_name_of_its_file(name: str, tmp_path: Path) -> None:
    version(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(bytes(data))
    with pytest.raises(WeightsUnusable, match=f"{name} has SHA-256"):
        Ranker(tmp_path)


def test_a_folder_without_a_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable, match="no version of a ranker"):
        verify(tmp_path)
