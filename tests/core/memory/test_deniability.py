"""What is told of a touch is as likely after any other, but for a factor that is set."""

import math
from collections import Counter
from random import Random

import pytest

from streams.core.catalogue import Catalogue
from streams.core.memory.deniability import Deniability, truth

DRAWN = 40_000


def shelf() -> Catalogue:
    """Four items that may be listed, and one that is withdrawn."""
    catalogue = Catalogue(capacity=8)
    for item_id in ("a", "b", "gone", "c", "d"):
        catalogue.put(item_id, None, 0.0)
    catalogue.withdraw("gone")
    return catalogue


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_no_answer_is_more_likely_after_one_touch_than_after_another_by_more_than_epsilon_says(epsilon: float) -> None:
    catalogue, deniable = shelf(), Deniability(epsilon, Random(1))
    told = {item: Counter(deniable.told(item, catalogue) for _ in range(DRAWN)) for item in ("a", "b", "new", "gone")}
    assert set(told["a"]) == set(told["new"]) == set(told["gone"]) == {"a", "b", "c", "d"}
    expected = truth(epsilon, 4)
    assert expected == pytest.approx(math.exp(epsilon) / (math.exp(epsilon) + 3))
    deviation = 5 * math.sqrt(expected * (1 - expected) / DRAWN)
    for item in ("a", "b"):
        assert told[item][item] / DRAWN == pytest.approx(expected, abs=deviation)
        assert told[item]["c"] / DRAWN == pytest.approx((1 - expected) / 3, abs=deviation)
    assert told["new"]["a"] / DRAWN == pytest.approx(1 / 4, abs=deviation)


def test_the_only_item_there_is_is_told() -> None:
    catalogue = Catalogue(capacity=8)
    assert Deniability(1.0, Random(1)).told("a", catalogue) == "a"
