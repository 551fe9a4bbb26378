"""A plan that cannot be carried out is refused, with the place and what is allowed."""

import pytest

from streams.core.experiments.plan import PlanError, check_versions, ranges, read

ARMS = "arms: {control: {}, many: {exploration_share: 0.2}}"
BOTH = "{kind: interleaving, arms: {x: {}, y: {}}}"
DEEP = "{arms: {without: {model_version: none}, old: {model_version: 1}, new: {model_version: 3}}}"


def test_what_is_not_told_is_even_and_for_everybody() -> None:
    [experiment] = read(f"layers: {{lists: {{new-items: {{{ARMS}}}}}}}").experiments().values()
    assert (experiment.share, experiment.kind, experiment.parts()) == (1.0, "arms", {"control": 0.5, "many": 0.5})


def test_a_split_is_in_proportion() -> None:
    text = f"layers: {{lists: {{new-items: {{{ARMS}, split: {{control: 3, many: 1}}}}}}}}"
    assert read(text).experiments()["new-items"].parts() == {"control": 0.75, "many": 0.25}


def test_experiments_of_a_layer_lie_side_by_side() -> None:
    plan = read(f"layers: {{lists: {{one: {{share: 0.25, {ARMS}}}, two: {{share: 0.5, {ARMS}}}}}}}")
    assert list(ranges(plan.layers["lists"])) == [("one", 0.0, 0.25), ("two", 0.25, 0.75)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers: [", "not YAML"),
        ("layers: {lists: {a: {arms: {}}, a: {arms: {}}}}", "'a' comes twice"),
        ("holdouts: 0.1", "unknown field `holdouts`"),
        ("holdout: 0.6", "<= 0.5 - at `$.holdout`"),
        ("layers: {lists: {a: {arms: {control: {}}}}}", "lists.a: 1 arms, where 2 or more can be compared"),
        ("layers: {lists: {A: {arms: {control: {}}}}}", "matching regex"),
        (
            "layers: {lists: {a: {kind: interleaving, arms: {x: {}, y: {}, z: {}}}}}",
            "lists.a: 3 arms, where exactly 2 can be compared",
        ),
        ("layers: {lists: {a: {arms: {x: {}, y: {}}, split: {x: 1}}}}", "split names x; the arms are x, y"),
        (
            "layers: {lists: {a: {kind: interleaving, arms: {x: {}, y: {}}, split: {x: 1, y: 1}}}}",
            "there is nothing to split",
        ),
        ("layers: {lists: {a: {arms: {x: {}, y: {explore: 1}}}}}", "lists.a.y: there is no setting 'explore'"),
        ("layers: {lists: {a: {arms: {x: {}, y: {ranker_rate: 1}}}}}", "'ranker_rate' cannot differ between users"),
        ("layers: {lists: {a: {arms: {x: {}, y: {exploration_share: 2}}}}}", "<= 1.0 - at `$.exploration_share`"),
        ("layers: {lists: {a: {arms: {x: {}, y: {experts: [populr]}}}}}", "experts: 'populr' is none of popular,"),
        ("layers: {lists: {a: {arms: {x: {}, y: {fusion_weights: {smell: 1}}}}}}", "'smell' is none of text,"),
        (
            f"layers: {{l: {{a: {{share: 0.6, {ARMS}}}, b: {{share: 0.6, {ARMS}}}}}}}",
            "l: its experiments' shares sum to 1.2",
        ),
        (f"layers: {{l: {{a: {{{ARMS}}}}}, m: {{a: {{{ARMS}}}}}}}", "m.a: the name is in layer l, too"),
        (f"layers: {{l: {{a: {{{ARMS}}}}}, m: {{b: {{{ARMS}}}}}}}", "m.b: layer l sets 'exploration_share', too"),
        ("layers: {l: {holdout: {arms: {x: {}, y: {}}}}}", "the name is reserved"),
        (
            f"layers: {{l: {{a: {BOTH}}}, m: {{b: {BOTH}}}}}",
            "interleaving in layers l and m",
        ),
        ("layers: {l: {a: {arms: {x: {}, y: {model_version: 0}}}}}", "l.a.y: Expected `int` >= 1"),
        ("layers: {l: {a: {arms: {x: {}, y: {model_version: newest}}}}}", "l.a.y: Invalid enum value 'newest'"),
        (
            "layers: {l: {a: {kind: interleaving, arms: {x: {}, y: {model_version: 2}}}}}",
            "l.a: interleaved lists are made without a deep model",
        ),
        (f"layers: {{l: {{a: {DEEP}}}, m: {{b: {BOTH}}}}}", "layer l sets 'model_version', and layer m interleaves"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(text: str, said: str) -> None:
    with pytest.raises(PlanError) as refused:
        read(text)
    assert said in str(refused.value)


def test_versions_that_arms_name_are_those_of_experiments_that_run() -> None:
    plan = read(f"layers: {{l: {{a: {DEEP}}}}}")
    assert plan.model_versions() == {"l.a.old": 1, "l.a.new": 3}
    assert read(f"layers: {{l: {{a: {DEEP[:-1]}, stopped: true}}}}}}").model_versions() == {}


def test_a_version_that_was_never_shipped_is_named_with_the_arm_and_those_there_are() -> None:
    plan = read(f"layers: {{l: {{a: {DEEP}}}}}")
    check_versions(plan, {1, 2, 3})
    with pytest.raises(PlanError, match=r"l\.a\.new: version 3 of the deep ranker was never shipped; there are: 1, 2"):
        check_versions(plan, {2, 1})
    with pytest.raises(PlanError, match=r"l\.a\.old: version 1 .* there are: none"):
        check_versions(plan, ())


def test_versions_and_an_interleaving_may_share_a_layer_and_one_that_is_stopped_is_in_nobodys_way() -> None:
    halves = f"a: {DEEP[:-1]}, share: 0.5}}, b: {BOTH[:-1]}, share: 0.5}}"
    assert read(f"layers: {{l: {{{halves}}}}}").model_versions()
    assert read(f"layers: {{l: {{a: {DEEP}}}, m: {{b: {BOTH[:-1]}, stopped: true}}}}}}").model_versions()
