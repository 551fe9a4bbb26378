"""The tests keep their promises where the truth is known. `anabranch experiments simulate` runs many more."""

from scipy.stats import binom

from streams.core.experiments.simulation import World, mismatches, run

RUNS = 200
SMALL = World(users=600, lists=6_000, looks=25)


def test_where_there_is_no_difference_one_is_found_as_rarely_as_promised_however_often_one_looks() -> None:
    runs = [run(SMALL, seed=seed) for seed in range(RUNS)]
    most = binom.ppf(0.999, RUNS, 0.05)
    assert sum(each.found > 0 for each in runs) <= most
    assert sum(not each.covered for each in runs) <= most
    assert sum(each.peeked for each in runs) > 5 * most, "a plain test, looked at as often, is wrong most of the time"


def test_a_difference_that_is_there_is_found_most_of_the_time_and_before_the_end() -> None:
    better = World(users=2_000, lists=20_000, looks=25, lift=0.3)
    found = [each.found for each in (run(better, seed=seed) for seed in range(25)) if each.found]
    assert len(found) > 0.8 * 25
    assert sorted(found)[len(found) // 2] < better.looks / 2


def test_lost_users_are_noticed_and_none_are_missed_where_none_are_lost() -> None:
    assert sum(mismatches(users=4_000, looks=40, lost=0.0, seed=seed) > 0 for seed in range(RUNS)) <= 2
    assert sum(mismatches(users=4_000, looks=40, lost=0.2, seed=seed) > 0 for seed in range(50)) > 45
