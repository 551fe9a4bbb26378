"""The trade-off of diversity and fairness, on a small world whose items are of two kinds."""

import numpy as np

from streams.core.vectors import unit
from streams.datasets.dataset import Dataset
from streams.evaluate import plots, tradeoff
from streams.events import Click, Upload


def test_each_knob_gives_what_it_is_for() -> None:
    generator = np.random.default_rng(1)
    kinds = np.eye(2, 8, dtype=np.float32)
    uploads = [
        Upload(event_id=f"u{item}", ts=1e9, item_id=f"i{item}", title="x", attributes=[f"kind {item % 2}"])
        for item in range(60)
    ]
    clicks = [
        Click(
            event_id=f"e{step}",
            ts=1e9 + step,
            user_id=f"u{int(generator.integers(20))}",
            item_id=f"i{int(60 * generator.random() ** 3)}",
        )
        for step in range(1000)
    ]
    vectors = {
        f"i{item}": unit(kinds[item % 2] + 0.1 * generator.standard_normal(8).astype(np.float32)) for item in range(60)
    }
    groups = {f"u{user}": "even" if user % 2 == 0 else "odd" for user in range(20)}
    dataset = Dataset(name="town", uploads=uploads, profiles={}, activity=list(clicks), captions={})
    points = {each.name: each for each in tradeoff.measure(clicks, dataset, vectors, groups, every=5)}
    none = points["none"]
    assert set(none.groups) == {"even", "odd"} and 0 < none.recall < 1
    assert points["diversity 0.8"].diversity > none.diversity + 0.05
    assert points["calibration 0.8"].mix < none.mix
    assert points["exposure 0.01"].gini < none.gini and points["exposure 0.01"].coverage > none.coverage
    assert len(tradeoff.sheet(list(points.values())).rows) == len(points)
    assert plots.png(tradeoff.draw(list(points.values()))).startswith(b"\x89PNG")
