"""What is shipped is tried first; what is served changes by name, and can be taken back."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from encoders.contract import Question
from streams.deep.registry import CALLS, ModelRefused, NoSuchVersion, Registry, State
from streams.deep.rollout import damage, take_another_network
from streams.errors import RankerUnavailable
from tests.deep.versions import FakeTriton, version


class Shop:
    """A registry with a Triton in memory."""

    def __init__(self, folder: Path) -> None:
        self.triton = FakeTriton(folder / "models")
        self.registry = Registry(folder / "models", self.triton, self.triton.clock)
        self._folder = folder

    def make(self, name: str, slope: float = 1.0) -> Path:
        return version(self._folder / name, slope=slope)

    @property
    def served(self) -> list[int]:
        return sorted(self.triton.rankers)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """Version 1 serves everybody, version 2 is shipped."""
    for name in ("first", "second"):
        shop.registry.ship(shop.make(name))
    shop.registry.canary(1, 1.0)
    shop.registry.promote()
    return shop


def test_what_is_shipped_is_kept_and_serves_nobody_yet(shop: Shop) -> None:
    assert shop.registry.ship(shop.make("first")) == 1
    assert shop.registry.versions()[1]["kind"] == "click"
    assert shop.served == [] and shop.registry.state == State()


def test_a_canary_is_served_beside_the_stable_version_and_then_in_its_place(busy: Shop) -> None:
    busy.registry.canary(2, 0.1)
    assert busy.served == [1, 2]
    assert 'key: "canary" value: { string_value: "2" }' in busy.triton.config
    assert 'key: "share" value: { string_value: "0.1" }' in busy.triton.config
    assert busy.registry.promote() == 2
    assert busy.served == [2] and busy.registry.state == State(stable=2, previous=1)


def test_whoever_changes_what_is_served_waits_for_who_is_at_it(busy: Shop, tmp_path: Path) -> None:
    other = Registry(tmp_path / "models", busy.triton)
    with ThreadPoolExecutor(1) as pool:
        with busy.registry.locked():
            asked = pool.submit(other.canary, 2, 0.1)
            busy.registry.canary(2, 0.5)
            assert busy.registry.promote() == 2 and not asked.done()
        with pytest.raises(NoSuchVersion, match="version 2 is the stable one already"):
            asked.result(timeout=60)
    assert busy.registry.state == State(stable=2, previous=1)


def test_rolling_back_takes_the_canary_first_and_then_the_stable_version(busy: Shop) -> None:
    busy.registry.canary(2, 0.1)
    assert busy.registry.roll_back() == 1 and busy.served == [1]
    busy.registry.canary(2, 0.1)
    busy.registry.promote()
    assert busy.registry.roll_back() == 1 and busy.served == [1]
    assert busy.registry.roll_back() == 0 and busy.served == []
    with pytest.raises(NoSuchVersion, match="nothing to roll back"):
        busy.registry.roll_back()


def told(shop: Shop, name: str) -> str:
    """What workers are told by Triton's configuration of the model."""
    found = re.search(rf'key: "{name}" value: {{ string_value: "(.*)" }}', shop.triton.config)
    assert found is not None
    return found[1]


def test_a_version_that_is_loaded_answers_beside_those_that_serve_everybody_until_it_is_unloaded(busy: Shop) -> None:
    busy.registry.load(2)
    assert busy.served == [1, 2] and busy.registry.state == State(stable=1, others=[2])
    assert (told(busy, "stable"), told(busy, "canary"), told(busy, "others")) == ("1", "0", "2")
    assert told(busy, "shipped") == "1 2"
    assert busy.registry.state.served_to(2) == "arms that name it"
    busy.registry.unload(2)
    assert busy.served == [1] and told(busy, "others") == ""
    with pytest.raises(NoSuchVersion, match="version 2 was not loaded for experiments; those that were: none"):
        busy.registry.unload(2)
    with pytest.raises(NoSuchVersion, match="version 7 was never shipped; there are: 1, 2"):
        busy.registry.load(7)


def test_a_version_may_answer_for_arms_alone(shop: Shop) -> None:
    shop.registry.ship(shop.make("first"))
    shop.registry.load(1)
    assert shop.served == [1] and told(shop, "stable") == "0"
    shop.registry.unload(1)
    assert shop.served == [] and shop.registry.state == State()


def test_what_is_loaded_outlives_canaries_and_what_is_taken_back_answers_in_experiments_no_more(busy: Shop) -> None:
    busy.registry.load(1)
    busy.registry.load(2)
    busy.registry.canary(2, 0.1)
    busy.registry.promote()
    assert busy.registry.state == State(stable=2, previous=1, others=[1, 2]) and busy.served == [1, 2]
    assert busy.registry.roll_back() == 1
    assert busy.registry.state == State(stable=1, others=[1]) and busy.served == [1]
    busy.registry.load(2)
    busy.registry.canary(2, 0.1)
    busy.registry.roll_back()
    assert busy.registry.state == State(stable=1, others=[1]) and busy.served == [1]


def test_a_damaged_version_is_refused_as_corrupt(busy: Shop) -> None:
    folder = busy.make("third")
    damage(folder)
    with pytest.raises(ModelRefused, match=r"ranker\.onnx has SHA-256") as refused:
        busy.registry.ship(folder)
    assert refused.value.reason == "corrupt"
    assert busy.served == [1] and list(busy.registry.versions()) == [1, 2]


def test_a_version_that_does_not_answer_as_it_was_trained_to_is_refused(busy: Shop) -> None:
    folder = busy.make("third")
    take_another_network(folder, busy.make("other", slope=3.0))
    with pytest.raises(ModelRefused) as refused:
        busy.registry.ship(folder)
    assert refused.value.reason == "unloadable"
    assert busy.served == [1] and list(busy.registry.versions()) == [1, 2]


def test_a_version_that_takes_twice_as_long_as_the_stable_one_is_refused_as_slow(busy: Shop) -> None:
    busy.triton.seconds = {1: 0.002, 3: 0.005}
    with pytest.raises(ModelRefused, match=r"takes 5\.0 ms .*4\.0 ms are allowed \(version 1: 2\.0 ms\)") as refused:
        busy.registry.ship(busy.make("third"))
    assert refused.value.reason == "slow"
    assert busy.served == [1] and list(busy.registry.versions()) == [1, 2]


def test_the_first_version_has_a_limit_too(shop: Shop) -> None:
    shop.triton.seconds = {1: 0.06}
    with pytest.raises(ModelRefused, match=r"60\.0 ms .*50\.0 ms are allowed"):
        shop.registry.ship(shop.make("first"))
    assert shop.served == []


def test_a_version_that_was_slow_while_the_machine_was_busy_is_looked_at_again(shop: Shop) -> None:
    ask, calls = shop.triton.ask, count()

    def busy_at_first(asked: Question, version: int) -> np.ndarray:
        shop.triton.seconds = {1: 0.06 if next(calls) < 2 * CALLS else 0.01}
        return ask(asked, version)

    shop.triton.ask = busy_at_first  # type: ignore[method-assign]
    assert shop.registry.ship(shop.make("first")) == 1
    assert list(shop.registry.versions()) == [1]


def test_where_triton_does_not_load_what_is_to_be_served_nothing_changes(busy: Shop) -> None:
    before = busy.triton.config
    (busy._folder / "models" / "versions" / "2" / "items.npy").write_bytes(b"")
    with pytest.raises(RankerUnavailable):
        busy.registry.canary(2, 0.1)
    assert busy.served == [1] and busy.triton.config == before
    assert busy.registry.state == State(stable=1)


@pytest.mark.parametrize(("number", "why"), [(7, "never shipped; there are: 1, 2"), (1, "stable one already")])
def test_what_cannot_be_a_canary_is_named(busy: Shop, number: int, why: str) -> None:
    with pytest.raises(NoSuchVersion, match=why):
        busy.registry.canary(number, 0.1)


def test_without_a_canary_there_is_nothing_to_promote(shop: Shop) -> None:
    with pytest.raises(NoSuchVersion, match="no canary"):
        shop.registry.promote()
