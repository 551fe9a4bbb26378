"""The canary's fate is decided by the figures of all workers."""

from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from streams.core.residual import Figures
from streams.deep import deciding
from streams.deep.registry import State
from streams.settings import load
from tests.deep.test_registry import Shop
from tests.deep.versions import version


def shown(figures: dict[int, Figures], unadvised: int = 0) -> dict[str, Metric]:
    """What a worker's metrics say of them."""
    lines = []
    for name in ("choices", "gain", "squares", "weight"):
        metric = "anabranch_ranker_gain_squares" if name == "squares" else f"anabranch_ranker_{name}"
        lines.append(f"# TYPE {metric} gauge")
        lines += [f'{metric}{{version="{each}"}} {getattr(of, name)}' for each, of in figures.items()]
    lines += [
        "# TYPE anabranch_lists_unadvised_total counter",
        f'anabranch_lists_unadvised_total{{version="2"}} {unadvised}',
    ]
    return {each.name: each for each in text_string_to_metric_families("\n".join(lines) + "\n")}


GOOD, EVEN, BAD = Figures(500, 10.0, 2.0, 0.4), Figures(500, 0.0, 2.0, 0.1), Figures(500, -10.0, 2.0, 0.0)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Version 1 serves nine of ten users, version 2 the tenth."""
    shop = Shop(tmp_path)
    for name in ("first", "second"):
        shop.registry.ship(version(tmp_path / name))
    shop.registry.canary(1, 1.0)
    shop.registry.promote()
    shop.registry.canary(2, 0.1)
    return shop


@pytest.mark.parametrize(
    ("canary", "unadvised", "said", "state"),
    [
        (GOOD, 0, "version 2 serves everybody", State(stable=2, previous=1)),
        (BAD, 0, "version 2 was taken back; version 1 serves everybody", State(stable=1)),
        (EVEN, 0, "version 2: 1000 choices do not tell yet", State(stable=1, canary=2, share=0.1)),
        (GOOD, 80, "160 lists had to be made without it", State(stable=1)),
    ],
)
def test_the_rule_is_carried_out(
    shop: Shop, canary: Figures, unadvised: int, said: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "ask", lambda worker: shown({1: EVEN, 2: canary}, unadvised))
    settings = load(http={"workers": ["127.0.0.1:8010", "127.0.0.1:8011"]})
    decision, _ = deciding.decide(settings, shop.registry, least=300, most=5_000)
    assert said in decision
    assert shop.registry.state == state


def test_the_workers_add_up() -> None:
    figures, unadvised = deciding.added_up([shown({2: GOOD}, 3), shown({1: EVEN, 2: BAD}, 4)])
    assert figures[2] == Figures(1_000, 0.0, 4.0, 0.2) and figures[1] == EVEN
    assert unadvised == {2: 7.0}


def test_without_a_canary_there_is_nothing_to_decide(shop: Shop) -> None:
    shop.registry.roll_back()
    decision, _ = deciding.decide(load(), shop.registry, least=300, most=5_000)
    assert "no canary to decide on" in decision and shop.registry.state == State(stable=1)
