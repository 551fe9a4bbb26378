"""A plan that cannot be carried out is refused, with the place and what is allowed."""

import pytest

from streams.core.experiments.plan import PlanError, ranges, read

ARMS = "arms: {control: {}, many: {exploration_share: 0.2}}"
BOTH = "{kind: interleaving, arms: {x: {}, y: {}}}"


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
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(text: str, said: str) -> None:
    with pytest.raises(PlanError) as refused:
        read(text)
    assert said in str(refused.value)
