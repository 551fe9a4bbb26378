"""What a plan of experiments says, checked: a mistyped name is an error, not an experiment that shows nothing."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from encoders.contract import PARTS
from streams.core.memory.settings import ALL_EXPERTS, ListSettings, RecommenderSettings

HOLDOUT = "holdout"
NO_MODEL = "none"
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,29}$")]
Share = Annotated[float, Meta(gt=0, le=1)]


class PlanError(ValueError):
    """A plan that cannot be carried out; the message says where, what and what is allowed."""


class ArmSettings(ListSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the lists of an arm are made by; what it does not name is as everywhere.

    fusion_weights  modality -> what it counts in a user's taste, as `ANABRANCH_WORKER__FUSION_WEIGHTS`
    list_length     items, as `ANABRANCH_WORKER__LIST_LENGTH`
    model_version   of the deep ranker, a number of `anabranch models list`, or 'none' for lists made without
    """

    fusion_weights: dict[str, Annotated[float, Meta(gt=0)]] | None = None
    list_length: Annotated[int, Meta(ge=1, le=200)] | None = None
    model_version: Annotated[int, Meta(ge=1)] | Literal["none"] | None = None


class Experiment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question.

    arms     name -> settings, see `ArmSettings`; the first is what the others are compared with
    share    of the layer's users
    split    arm -> its part of the experiment's users, in proportion; all alike unless told
    kind     'arms': a user has one of them; 'interleaving': each of a user's lists is drawn from both
    effect   the relative difference where the tests are most sensitive. Too large costs little, too small much
    salt     another one deals the users out anew
    stopped  its users are in no arm, but keep their place in the layer
    """

    arms: dict[Name, dict[str, Any]]
    share: Share = 1.0
    split: dict[Name, Annotated[float, Meta(gt=0)]] = {}
    kind: Literal["arms", "interleaving"] = "arms"
    effect: Annotated[float, Meta(gt=0, le=1)] = 0.3
    salt: str = ""
    stopped: bool = False

    def parts(self) -> dict[str, float]:
        """Arm -> its part of the experiment's users; sums to 1."""
        total = sum(self.split.values())
        return {arm: self.split[arm] / total if self.split else 1 / len(self.arms) for arm in self.arms}


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All experiments.

    layers          layer -> its experiments, which share its users out among them; layers do not know of each other
    holdout         of all users, who are in no experiment
    window_seconds  after a list within which a click is put down to it
    alpha           how often a difference may be reported where there is none
    """

    layers: dict[Name, dict[Name, Experiment]] = {}
    holdout: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    window_seconds: Annotated[float, Meta(gt=0)] = 86_400.0
    alpha: Annotated[float, Meta(gt=0, lt=0.5)] = 0.05

    def experiments(self) -> dict[str, Experiment]:
        """By name, of all layers."""
        return {name: each for layer in self.layers.values() for name, each in layer.items()}

    def model_versions(self) -> dict[str, int]:
        """Place of an arm -> the version of the deep ranker that it names; of experiments that are not stopped."""
        return {
            f"{layer}.{name}.{arm}": version
            for layer, experiments in self.layers.items()
            for name, each in experiments.items()
            for arm, its in each.arms.items()
            if not each.stopped and isinstance(version := its.get("model_version"), int)
        }


def read(text: str | bytes) -> Plan:
    """A plan from YAML. Raises PlanError.

    >>> plan = read("layers: {lists: {new-items: {arms: {control: {}, many: {exploration_share: 0.2}}}}}")
    >>> plan.experiments()["new-items"].parts()
    {'control': 0.5, 'many': 0.5}
    >>> read("layers: {lists: {new-items: {arms: {control: {}, many: {exploration: 0.2}}}}}")
    Traceback (most recent call last):
    streams.core.experiments.plan.PlanError: lists.new-items.many: there is no setting 'exploration'; an arm may set \
calibration, calibration_per, diversity, experts, exploration_enough, exploration_pool, exploration_share, \
exploration_spread, exposure_limit, exposure_per, fusion_weights, list_length, model_version
    """
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise PlanError(f"not YAML: {error}") from error
    try:
        plan = msgspec.convert(content, Plan)
    except msgspec.ValidationError as error:
        raise PlanError(str(error)) from error
    _check(plan)
    return plan


def settings(arm: Mapping[str, Any]) -> ArmSettings:
    """Raises PlanError."""
    if unknown := set(arm) - set(ArmSettings.__struct_fields__):
        name = min(unknown)
        if name in RecommenderSettings.__struct_fields__:
            raise PlanError(
                f"{name!r} cannot differ between users: all are learned from in one memory, and it shapes that"
            )
        allowed = ", ".join(sorted(ArmSettings.__struct_fields__))
        raise PlanError(f"there is no setting {name!r}; an arm may set {allowed}")
    try:
        made = msgspec.convert(dict(arm), ArmSettings)
    except msgspec.ValidationError as error:
        raise PlanError(str(error)) from error
    _check_names("experts", made.experts, ALL_EXPERTS)
    _check_names("fusion_weights", made.fusion_weights or (), PARTS)
    return made


def check_versions(plan: Plan, shipped: Collection[int]) -> None:
    """Whether every version of the deep ranker that an arm names was shipped. Raises PlanError.

    >>> plan = read("layers: {lists: {deep: {arms: {old: {model_version: none}, new: {model_version: 3}}}}}")
    >>> check_versions(plan, [1, 2])
    Traceback (most recent call last):
    streams.core.experiments.plan.PlanError: lists.deep.new: version 3 of the deep ranker was never shipped; there \
are: 1, 2
    """
    for where, version in plan.model_versions().items():
        if version not in shipped:
            there_are = ", ".join(map(str, sorted(shipped))) or "none"
            raise PlanError(f"{where}: version {version} of the deep ranker was never shipped; there are: {there_are}")


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} comes twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _check_names(what: str, given: Any, known: Any) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise PlanError(f"{what}: {unknown[0]!r} is none of {', '.join(known)}")


def _check(plan: Plan) -> None:
    seen: dict[str, str] = {HOLDOUT: "reserved for the plan's own"}
    set_by: dict[str, str] = {}
    interleaving: list[str] = []
    for layer, experiments in plan.layers.items():
        if (total := sum(each.share for each in experiments.values())) > 1 + 1e-9:
            raise PlanError(f"{layer}: its experiments' shares sum to {total:g}, where 1 is all users")
        for name, each in experiments.items():
            if name in seen:
                raise PlanError(f"{layer}.{name}: the name is {seen[name]}; outcomes could not be told apart")
            seen[name] = f"in layer {layer}, too"
            _check_experiment(f"{layer}.{name}", each)
            interleaving += [layer] * (each.kind == "interleaving" and not each.stopped)
            for setting in {setting for arm in each.arms.values() for setting in arm}:
                if set_by.setdefault(setting, layer) != layer:
                    raise PlanError(
                        f"{layer}.{name}: layer {set_by[setting]} sets {setting!r}, too; a user can be in both layers"
                    )
    if len(set(interleaving)) > 1:
        raise PlanError(f"interleaving in layers {' and '.join(dict.fromkeys(interleaving))}: a list is drawn from two")
    naming = set_by.get("model_version")
    if naming is not None and (others := [layer for layer in interleaving if layer != naming]):
        raise PlanError(
            f"layer {naming} sets 'model_version', and layer {others[0]} interleaves: interleaved lists are made"
            " without a deep model, and a user can be in both layers"
        )


def _check_experiment(where: str, experiment: Experiment) -> None:
    for name, arm in experiment.arms.items():
        try:
            settings(arm)
        except PlanError as error:
            raise PlanError(f"{where}.{name}: {error}") from None
    if experiment.kind == "interleaving" and any("model_version" in arm for arm in experiment.arms.values()):
        raise PlanError(f"{where}: interleaved lists are made without a deep model: compare versions by kind 'arms'")
    count = len(experiment.arms)
    if count < 2 or (count > 2 and experiment.kind == "interleaving"):
        wanted = "exactly 2" if experiment.kind == "interleaving" else "2 or more"
        raise PlanError(f"{where}: {count} arms, where {wanted} can be compared")
    if experiment.split and set(experiment.split) != set(experiment.arms):
        raise PlanError(
            f"{where}: split names {', '.join(experiment.split)}; the arms are {', '.join(experiment.arms)}"
        )
    if experiment.split and experiment.kind == "interleaving":
        raise PlanError(f"{where}: interleaving gives everybody both arms, there is nothing to split")


def ranges(experiments: Mapping[str, Experiment]) -> Iterator[tuple[str, float, float]]:
    """Of a layer's experiments in order: name, and which part of the users between 0 and 1 is theirs."""
    start = 0.0
    for name, each in experiments.items():
        yield name, start, start + each.share
        start += each.share
