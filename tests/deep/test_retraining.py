"""One command from the log to a canary."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from encoders.training.deep.content import ITEM
from encoders.training.deep.rankers import Shape
from encoders.training.deep.trainer import Training
from streams.deep.registry import Registry, State
from streams.deep.retraining import NotRetrained, retrain
from streams.settings import load
from tests.deep.versions import FakeTriton

SHAPE = Shape("click", parts=(ITEM,), width=8)


def once(registry: Registry, recorded: Path, folder: Path, epochs: int = 6) -> tuple[int, dict[str, float]]:
    return retrain(
        load(home=folder),
        Console(quiet=True),
        registry,
        where=str(recorded),
        shape=SHAPE,
        training=Training(epochs=epochs, batch=128, learning_rate=0.03),
        share=0.2,
    )


def test_what_was_learned_serves_some_users_and_not_again_until_that_is_decided(recorded: Path, tmp_path: Path) -> None:
    triton = FakeTriton(tmp_path / "models")
    registry = Registry(tmp_path / "models", triton, triton.clock)
    number, metrics = once(registry, recorded, tmp_path)
    assert metrics["AUC"] > 0.7
    assert registry.state == State(canary=number, share=0.2) and list(triton.rankers) == [number]
    with pytest.raises(NotRetrained, match="version 1 is still being tried"):
        once(registry, recorded, tmp_path)


def test_a_model_that_learned_nothing_is_tried_on_nobody(recorded: Path, tmp_path: Path) -> None:
    triton = FakeTriton(tmp_path / "models")
    registry = Registry(tmp_path / "models", triton, triton.clock)
    generator = np.random.default_rng(0)
    lines = [
        {
            "topic": "events.click",
            "event_id": f"c-{n}",
            "ts": float(n + 1),
            "user_id": f"u-{user}",
            "item_id": f"i-{item}",
        }
        for n, (user, item) in enumerate(
            zip(generator.permutation(500) % 25, generator.permutation(500) % 30, strict=True)
        )
    ]
    shuffled = tmp_path / "random.jsonl"
    shuffled.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(NotRetrained, match="has an AUC of"):
        once(registry, shuffled, tmp_path, epochs=1)
    assert registry.versions() == {} and registry.state == State()
