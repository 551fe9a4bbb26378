"""Users are dealt out by hash alone: evenly, for good, and in each layer independently."""

from collections import Counter

from streams.core.experiments.assignment import INTERLEAVED, Assigner
from streams.core.experiments.plan import Plan, read
from streams.core.memory.settings import EXPERTS, ListSettings

USERS = [f"user {n}" for n in range(10_000)]
TWO = "{arms: {control: {}, other: {}}, share: 0.5}"


def variants(plan: Plan, experiment: str) -> list[str | None]:
    assigner = Assigner(plan)
    return [assigner.assign(user).variants.get(experiment) for user in USERS]


def test_each_arm_gets_its_part() -> None:
    plan = read("layers: {l: {a: {share: 0.8, arms: {x: {}, y: {}, z: {}}, split: {x: 2, y: 1, z: 1}}}}")
    counts = Counter(variants(plan, "a"))
    for arm, part in {"x": 0.4, "y": 0.2, "z": 0.2, None: 0.2}.items():
        assert abs(counts[arm] / len(USERS) - part) < 0.02


def test_a_layer_shares_its_users_out_and_layers_are_independent() -> None:
    plan = read(f"layers: {{l: {{a: {TWO}, b: {TWO}}}, m: {{c: {TWO}}}}}")
    first, second, other = (variants(plan, name) for name in "abc")
    assert all((one is None) != (two is None) for one, two in zip(first, second, strict=True))
    both = Counter(zip(first, other, strict=True))
    for a in ("control", "other"):
        for c in ("control", "other"):
            assert abs(both[a, c] / len(USERS) - 1 / 16) < 0.015


def test_users_are_dealt_out_anew_under_another_name_or_salt() -> None:
    plans = [
        read(f"layers: {{l: {{{name}: {{arms: {{x: {{}}, y: {{}}}}, salt: '{salt}'}}}}}}")
        for name, salt in (("a", ""), ("b", ""), ("a", "2"))
    ]
    one, renamed, salted = (variants(plan, name) for plan, name in zip(plans, "aba", strict=True))
    for again in (renamed, salted):
        alike = sum(before == after for before, after in zip(one, again, strict=True)) / len(USERS)
        assert abs(alike - 0.5) < 0.025


def test_an_experiment_that_is_appended_or_stopped_moves_nobody_in_the_others() -> None:
    before = variants(read(f"layers: {{l: {{a: {TWO}}}}}"), "a")
    assert variants(read(f"layers: {{l: {{a: {TWO}, b: {TWO}}}}}"), "a") == before
    stopped = read(f"layers: {{l: {{b: {TWO}, a: {TWO}}}}}")
    halted = read(f"layers: {{l: {{b: {TWO.replace('share', 'stopped: true, share')}, a: {TWO}}}}}")
    assert variants(halted, "a") == variants(stopped, "a")
    assert set(variants(halted, "b")) == {None}


def test_who_is_held_out_is_in_no_experiment() -> None:
    assigner = Assigner(read("{holdout: 0.1, layers: {l: {a: {arms: {x: {}, y: {}}}}}}"))
    seen = [assigner.assign(user).variants for user in USERS]
    out = [each for each in seen if each["holdout"] == "out"]
    assert abs(len(out) / len(USERS) - 0.1) < 0.015
    assert all(set(each) == {"holdout"} for each in out)
    assert all("a" in each for each in seen if each["holdout"] == "in")


def test_a_user_s_lists_are_made_by_the_arms_of_all_layers_together() -> None:
    plan = read(
        "layers: {l: {a: {arms: {x: {exploration_share: 0.3}, y: {exploration_share: 0.4}}}},"
        " m: {b: {kind: interleaving, arms: {all: {}, popular: {experts: [popular]}}}}}"
    )
    assigned = Assigner(plan).assign("ada")
    assert assigned.variants["b"] == INTERLEAVED and assigned.teams == ("all", "popular")
    share = {"x": 0.3, "y": 0.4}[assigned.variants["a"]]
    assert [each.exploration_share for each in assigned.settings] == [share, share]
    assert [each.experts for each in assigned.settings] == [EXPERTS, ("popular",)]


def test_these_users_are_in_these_arms_for_ever() -> None:
    """Another hash would put users into other arms in the middle of an experiment."""
    plan = read("layers: {l: {a: {arms: {x: {}, y: {}}}}}")
    assert "".join(str(each) for each in variants(plan, "a")[:24]) == "xyxxxxyxyxyyxxxxxxxxyyyx"


def test_what_no_arm_says_is_as_everywhere() -> None:
    plan = read("layers: {lists: {new-items: {arms: {control: {}, many: {exploration_share: 0.2}}}}}")
    assigner = Assigner(plan, ListSettings(diversity=0.3, exploration_share=0.1))
    for user in range(20):
        [made_by] = assigner.assign(f"user {user}").settings
        many = assigner.assign(f"user {user}").variants["new-items"] == "many"
        assert (made_by.diversity, made_by.exploration_share) == (0.3, 0.2 if many else 0.1)
    [without_a_plan] = Assigner(Plan(), ListSettings(diversity=0.3)).assign("ada").settings
    assert without_a_plan.diversity == 0.3
