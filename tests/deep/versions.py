"""Versions of the ranker that are made in a moment, and a Triton in memory that serves them."""

import re
from pathlib import Path

import numpy as np

from encoders.contract import DIM, Question, item_key
from encoders.errors import WeightsUnusable
from encoders.ranker import Ranker, check
from encoders.training.deep.content import ITEM
from encoders.training.deep.export import export
from encoders.training.deep.judge import Calibration
from encoders.training.deep.log import splits
from encoders.training.deep.rankers import Shape
from encoders.training.deep.task import Learning
from streams.errors import RankerUnavailable
from tests.encoders.training.deep.worlds import nobody, two_tastes


def version(folder: Path, *, slope: float = 1.0, kind: str = "click") -> Path:
    """A model that has learned nothing, exported; what it answers grows with the slope."""
    log = two_tastes()
    task = Learning(log, splits(log, 1)[0], Shape(kind, parts=(ITEM,), width=8), {}, nobody(log))
    task.network.eval()
    told = {"kind": kind, "metrics": {"AUC": 0.9, "NDCG@10": 0.08}, "window": {"train": [0.0, 86_400.0]}}
    return export(task.network, Calibration(slope, 0.0), log, told, folder)


def question() -> Question:
    """Of two users with six candidates each."""
    keys = np.array([item_key(item_id) for item_id in two_tastes().item_ids])
    return Question(keys[None, :20].repeat(2, 0), np.zeros((2, DIM), np.float32), keys[:12].reshape(2, 6))


class FakeTriton:
    """Serves what the repository holds when it is told to load, each version checked at its load as the real one does.

    seconds  version -> how long a call takes, by a clock that nothing else moves
    """

    def __init__(self, models: Path) -> None:
        self._model = models / "repository" / "ranker"
        self.rankers: dict[int, Ranker] = {}
        self.config = ""
        self.seconds: dict[int, float] = {}
        self.now = 0.0

    def load(self, model: str) -> None:
        text = (self._model / "config.pbtxt").read_text()
        listed = re.search(r"versions: \[ (.*) \]", text)
        assert listed is not None
        try:
            loaded = {int(each): self._checked(self._model / each) for each in listed[1].split(", ")}
        except WeightsUnusable as error:
            raise RankerUnavailable(str(error)) from error
        self.rankers, self.config = loaded, text

    def unload(self, model: str) -> None:
        self.rankers, self.config = {}, ""

    def ask(self, asked: Question, version: int) -> np.ndarray:
        if version not in self.rankers:
            raise RankerUnavailable(f"version {version} is not loaded")
        self.now += self.seconds.get(version, 0.001)
        return self.rankers[version](asked)

    def clock(self) -> float:
        return self.now

    @staticmethod
    def _checked(folder: Path) -> Ranker:
        ranker = Ranker(folder)
        asked, expected = check(folder)
        if not np.allclose(ranker(asked), expected, atol=1e-3):
            raise WeightsUnusable(f"{folder} answers off")
        return ranker
