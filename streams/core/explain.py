"""Why an item stands where it does in a user's list, in numbers and in words.

The ranker adds up what each expert says, so what each of them, and the item's bias, adds to the score is known exactly.
What a past item did is found out by taking it away: the user is made anew without it, and their candidates are proposed
and ranked again (leave one out; as a counterfactual, Tan et al., "Counterfactual explainable recommendation", 2021).
What everybody's memory has learned from that click stays, as it stays when a user is forgotten. Therefore the past item
itself is no candidate then: the user's own clicks, which memory still has, would make it the first of all, and what
candidates score is relative to the best.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from streams.core.attention import closeness
from streams.core.memory.exploration import Exploration
from streams.core.memory.settings import GRAPH, KNOWLEDGE, ListSettings
from streams.core.ranking import Weighed
from streams.core.recommender import Recommender
from streams.core.user import ItemVectors, UserState, without
from streams.core.vectors import Vector

BIAS = "bias"
PASSED = "passed over"
PAST = 20  # of the user's latest items, those that are taken away in turn


class Unexplained(ValueError):
    """There is nothing to explain; the message says why."""


class PastItem(Struct, frozen=True):
    """What an item that the user touched does for the one that is explained.

    at      of the latest touch, seconds since the epoch
    effect  what the score loses without it; below 0 it speaks against
    place   where the other would stand without it, the past item itself left out; none where nobody proposed it
    """

    item_id: str
    at: float
    effect: float
    place: int | None


class Explanation(Struct, frozen=True, kw_only=True):
    """Why an item stands where it does.

    place       among all candidates by score, 1 the best; none where nobody proposed it: it may only be explored
    candidates  how many there are
    reason      the expert that adds most; 'exploration' where nobody proposed it
    parts       expert, 'passed over' or 'bias' -> what it adds to the score: they sum to it
    closeness   modality -> what it adds to the cosine between the user's taste and the item: they sum to it
    past        the user's latest items, the one with the greatest effect first
    shared_with  the first of `past` of which something is known to be the same; empty where there is none
    shared      what that is, `name=value` each
    rules       business rule that holds for the item in this list -> what it does: pin, boost, exclude or cap
    """

    item_id: str
    place: int | None
    candidates: int
    score: float
    reason: str
    parts: dict[str, float]
    closeness: dict[str, float]
    past: Sequence[PastItem]
    shared_with: str = ""
    shared: list[str] = []
    rules: dict[str, str] = {}


def explain(
    recommender: Recommender,
    user: UserState,
    item_id: str,
    at: float,
    *,
    weights: Callable[[UserState], Mapping[str, float]],
    vectors: ItemVectors,
    half_life: float,
    how: ListSettings | None = None,
    past: int = PAST,
) -> Explanation:
    """Why the item stands where it does in the user's list, as it would be made now.

    at         now, seconds since the epoch
    weights    of the modalities, for a user: see `attention.modality_weights`
    vectors    item id -> modality -> (dim,) float32
    half_life  of the taste, seconds
    how        the list is made, in place of the recommender's own settings
    past       so many of the latest items are taken away in turn

    Raises Unexplained for an item that is not listed, or that the user has touched.
    """
    slot = recommender.catalogue.slot(item_id)
    if slot < 0 or not recommender.catalogue.listed(slot):
        raise Unexplained(f"item {item_id!r} is in no list: it was not uploaded, or is withdrawn")
    if item_id in user.history:
        raise Unexplained(f"user {user.user_id!r} has touched item {item_id!r}: lists show what is new to them")

    def weighed(someone: UserState, hidden: str | None = None) -> Weighed:
        return recommender.weigh(someone.view(weights(someone)), at, how, hidden=hidden)

    now = weighed(user)
    row = np.flatnonzero(now.slots == slot)
    parts: dict[str, float] = {}
    if len(row):
        values = now.parts[row[0]].tolist()
        parts = {name: part for name, part in zip([*recommender.experts, PASSED, BIAS], values, strict=True) if part}
    score = float(now.scores[row[0]]) if len(row) else recommender.bias(slot)
    fused: Vector | None = (vectors(item_id) or {}).get("fused")
    effects = sorted(
        (
            _effect(recommender, weighed(without(user, other, vectors, half_life), other), slot, score, other, when)
            for other, when in _latest(user, past).items()
        ),
        key=lambda each: (-each.effect, each.item_id),
    )
    both = {each.item_id: recommender.shared(item_id, each.item_id) for each in effects}
    shared_with = next((each for each, shared in both.items() if shared), "")
    return Explanation(
        item_id=item_id,
        place=_place(now, slot),
        candidates=len(now.slots),
        score=score,
        reason=_reason(parts),
        parts=parts,
        closeness=closeness(user.taste, weights(user), fused) if fused is not None else {},
        past=effects,
        shared_with=shared_with,
        shared=both.get(shared_with, []),
        rules=recommender.rules.of(slot, user.traits, at) if recommender.rules is not None else {},
    )


def sentence(each: Explanation, title: Callable[[str], str]) -> str:
    """The explanation in words.

    title  item id -> what people call it
    """
    if excluding := [name for name, does in each.rules.items() if does == "exclude"]:
        return f"{title(each.item_id)} is kept out of the list by the rule {excluding[0]!r}."
    ruled = "".join(f" The rule {name!r} speaks of it, too ({does})." for name, does in each.rules.items())
    return _ranked(each, title) + ruled


def _ranked(each: Explanation, title: Callable[[str], str]) -> str:
    if each.place is None:
        return f"{title(each.item_id)} is proposed by nobody yet: a list shows it, if at all, because it is new."
    first = each.past[0] if each.past and each.past[0].effect > 0 else None
    shared = " and ".join(each.shared[:2]).replace("=", " ") or "what is known of both"
    speaker = each.shared_with if each.reason == KNOWLEDGE else first.item_id if first else ""
    why = REASONS[each.reason].format(past=title(speaker) if speaker else "what you chose", shared=shared)
    told = f"{title(each.item_id)} has place {each.place} of {each.candidates}, above all because {why}"
    if first is None:
        return f"{told}; none of your latest items speaks for it."
    still = " still" if first.place == each.place else ""
    lost = "nobody would propose it" if first.place is None else f"it would{still} have place {first.place}"
    return f"{told}; without your click on {title(first.item_id)} {lost}."


REASONS = {
    "popular": "many like it",
    "trending": "many choose it these days",
    "stage": "those who have chosen as much as you choose it",
    "sequence": "people go on to it after {past}",
    "similar": "those who choose {past} choose it, too",
    "moment": "it is chosen within moments of {past}",
    "neighbours": "people whose latest choices are like yours chose it",
    "content": "what it says, looks and sounds like is close to your taste",
    "audience": "people who say the same of themselves as you choose it",
    "embedding": "all that you chose points to it",
    GRAPH: "what goes with {past} goes with it, too",
    KNOWLEDGE: "it has in common with {past}: {shared}",
    Exploration.name: "it is new",
}
"""What each expert means, for people; {past} is the item of theirs that counts most."""


def _latest(user: UserState, count: int) -> dict[str, float]:
    """The last items that the user touched, and when, the latest first."""
    latest: dict[str, float] = {}
    for item_id, at in zip(reversed(user.history.item_ids), reversed(user.history.times), strict=True):
        if len(latest) == count:
            break
        latest.setdefault(item_id, at)
    return latest


def _effect(recommender: Recommender, other: Weighed, slot: int, score: float, past: str, at: float) -> PastItem:
    row = np.flatnonzero(other.slots == slot)
    left = float(other.scores[row[0]]) if len(row) else recommender.bias(slot)
    return PastItem(past, at, score - left, _place(other, slot))


def _place(weighed: Weighed, slot: int) -> int | None:
    """As in a list: the best first, and among equals the lower slot."""
    row = np.flatnonzero(weighed.slots == slot)
    if not len(row):
        return None
    score = weighed.scores[row[0]]
    before = (weighed.scores > score) | ((weighed.scores == score) & (weighed.slots < slot))
    return 1 + int(before.sum())


def _reason(parts: Mapping[str, float]) -> str:
    """The expert that adds most."""
    experts = [name for name in parts if name not in (PASSED, BIAS)]
    return max(experts, key=lambda name: parts[name]) if experts else Exploration.name
