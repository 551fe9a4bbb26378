"""What holds for every model, in a world of two tastes."""

from functools import cache

import numpy as np
import pytest
import torch

from encoders.training.deep.content import ITEM, PIXEL, TEXT, WORDS
from encoders.training.deep.judge import Calibration, Jury, Verdict, calibration_error, logloss
from encoders.training.deep.log import splits
from encoders.training.deep.rankers import KINDS, Served, Shape
from encoders.training.deep.task import Learning
from encoders.training.deep.towers import MIXES
from encoders.training.deep.trainer import Training, fit
from tests.encoders.training.deep.worlds import nobody, two_tastes, vectors

QUICK = Training(epochs=8, batch=128, learning_rate=0.03, patience=8)
every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def plain(kind: str) -> tuple[Learning, Verdict]:
    """A model of this kind, which knows items by themselves and by what is said of them."""
    return learned(Shape(kind, parts=(ITEM, TEXT), width=16))


def learned(shape: Shape, content: dict[str, np.ndarray] | None = None) -> tuple[Learning, Verdict]:
    """A model that has learned the world, and what it makes of the clicks that came later."""
    torch.set_num_threads(1)
    log = two_tastes()
    [split] = splits(log, 1)
    known = content or {TEXT: vectors(len(log.item_ids))}
    task = Learning(log, split, shape, known, nobody(log))
    fit(task, QUICK)
    return task, Jury(log, split.test, nobody(log)).verdict(Served.of(task.network))


@every_kind
def test_every_model_finds_out_the_two_tastes(kind: str) -> None:
    _, verdict = plain(kind)
    assert verdict.auc > 0.85
    assert verdict.hits.mean() > 0.75  # of 40 items, 10 by chance would hit a third


def test_a_recurrent_network_finds_them_out_too() -> None:
    _, verdict = learned(Shape("sequence", parts=(TEXT,), order="gru", width=16))
    assert verdict.auc > 0.85


@pytest.mark.parametrize("mix", MIXES)
def test_every_mix_goes_by_the_part_that_tells(mix: str) -> None:
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((40, 256)).astype(np.float32) / 16
    _, verdict = learned(Shape("click", parts=("noise", TEXT), mix=mix, width=16), {"noise": noise, TEXT: vectors(40)})
    assert verdict.auc > 0.85


def test_words_are_read_and_pictures_seen() -> None:
    words = np.zeros((40, 32), np.int64)
    words[:, 0] = 2 + np.arange(40) % 2
    words[:, 1] = np.arange(40) + 10
    pixels = np.zeros((40, 3, 36, 24), np.uint8)
    pixels[::2, 0], pixels[1::2, 2] = 200, 200
    for part, array in ((WORDS, words), (PIXEL, pixels)):
        _, verdict = learned(Shape("click", parts=(part,), width=16), {part: array})
        assert verdict.auc > 0.85, part


@every_kind
def test_scores_from_tables_are_those_that_were_learned(kind: str) -> None:
    task, _ = plain(kind)
    histories, profiles, candidates, _ = task.batch(np.arange(8), np.random.default_rng(0))
    with torch.inference_mode():
        direct = task.network.scores(histories, profiles, candidates)
    from_tables = Served.of(task.network).scores(histories, profiles).gather(1, candidates)
    torch.testing.assert_close(from_tables, direct, rtol=1e-4, atol=1e-5)


@every_kind
def test_the_order_of_a_history_counts_for_the_sequence_alone(kind: str) -> None:
    task, _ = plain(kind)
    history, profile = torch.arange(20)[None], torch.zeros(1, 256)
    served = Served.of(task.network)
    same = torch.allclose(served.scores(history, profile), served.scores(history.flip(1), profile), atol=1e-4)
    assert same == (kind != "sequence")


def test_a_click_probability_is_told_after_calibration() -> None:
    generator = np.random.default_rng(0)
    true = generator.normal(size=5_000)
    clicked = generator.random(5_000) < 1 / (1 + np.exp(-true))
    nobody_in_particular = np.zeros(5_000, np.int64)
    verdict = Verdict(np.zeros(1), 5 * true + 3, clicked, *[nobody_in_particular] * 3)
    line = Calibration.of(verdict)
    assert calibration_error(verdict.logits, clicked) > 0.1
    assert calibration_error(line(verdict.logits), clicked) < 0.03
    assert logloss(line(verdict.logits), clicked) == pytest.approx(logloss(true, clicked), rel=0.01)
