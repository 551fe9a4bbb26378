"""On a small world: the less may be told of each touch, the less is found."""

from streams.evaluate import privacy
from tests.evaluate.test_fidelity import a_log


def test_the_smaller_epsilon_the_fewer_touches_are_told_and_the_less_is_found() -> None:
    free, unranked, much, little = privacy.measure(a_log(), (8.0, 0.5))
    assert free.truth == unranked.truth == 1.0 > much.truth > 0.9 > 0.1 > little.truth
    assert min(free.recall, unranked.recall, much.recall) > little.recall + 0.05
    assert len(privacy.sheet([free, much]).rows) == 2
