"""Business rules: what a shop or a publisher has decided of lists, whatever the ranker thinks.

A rule does one thing (pin, boost, exclude or cap) to some items, for some people, at some times. Which items a rule is
about is kept up to date as items come, so that a list costs the same however large the catalogue is.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct, field

from streams.core.catalogue import Catalogue, longer
from streams.core.memory.expert import Floats, Slots
from streams.core.search.labels import Labels, labels, wanted
from streams.core.search.question import Barred, nothing

NOTHING = np.zeros(0, np.int32)


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from `least` up to, and without, `below`.

    or_unknown  also those whose number is not known
    """

    least: float = -math.inf
    below: float = math.inf
    or_unknown: bool = False


Cap = tuple[str, str]
"""The name of a rule, and the value for which it counts apart, if it does."""

Trait = Span | list[str | int | float | bool]


class Rule(Struct, frozen=True, kw_only=True):
    """One rule; of `pin`, `boost`, `exclude` and `cap` it has one.

    pin       the place, 1 the first, that the item gets; of several items, the first that may be shown
    boost     by how much the odds to be chosen are multiplied; below 1 it makes items rarer
    exclude   the items are in no list
    cap       the most items of a list
    per       an attribute, for each value of which the cap counts apart
    items     ids of the items that the rule is about; with `with_` empty too, all
    with_     attribute -> values, of which an item must have one of each, as in the filters of a search
    audience  trait -> values or numbers that a user must have said of themselves; empty: everybody
    active    time, seconds since the epoch -> whether the rule holds
    """

    name: str
    pin: int | None = None
    boost: float | None = None
    exclude: bool = False
    cap: int | None = None
    per: str = ""
    items: Sequence[str] = ()
    with_: Mapping[str, Sequence[str]] = {}
    audience: Mapping[str, Trait] = {}
    active: Callable[[float], bool] = lambda at: True

    @property
    def does(self) -> str:
        """pin, boost, cap or exclude."""
        given = (name for name in ("pin", "boost", "cap") if getattr(self, name) is not None)
        return next(given, "exclude")

    def is_for(self, traits: Mapping[str, Any]) -> bool:
        """Whether it holds for somebody who said this of themselves.

        >>> young = Rule(name="young", exclude=True, audience={"age": Span(below=16)})
        >>> young.is_for({"age": 12}), young.is_for({"age": 16}), young.is_for({})
        (True, False, False)
        """
        return all(_has(traits.get(name), allowed) for name, allowed in self.audience.items())


class Directives(Struct, frozen=True):
    """What the rules say of one list.

    excluded  slots that must not be shown
    exclude, boosts, caps, pins  the rules, the pins in ascending order of places
    """

    excluded: Slots = field(default_factory=lambda: NOTHING)
    exclude: list[Rule] = []
    boosts: list[Rule] = []
    caps: list[Rule] = []
    pins: list[Rule] = []

    @property
    def rearrange(self) -> bool:
        """Whether the order of what is ranked changes."""
        return bool(self.boosts or self.caps or self.pins)


NONE = Directives()


class Arranged(NamedTuple):
    """A list as the rules would have it: slots, best first, and which of them are pinned."""

    slots: list[int]
    pinned: frozenset[int]


class RuleBook:
    """The rules in force, and what they say of each item.

    uses  name -> lists with an item that was pinned or boosted, lists where a cap kept one out, or for an exclusion
          lists that it held for
    """

    def __init__(self, rules: Iterable[Rule], catalogue: Catalogue) -> None:
        self.rules = list(rules)
        self.uses: Counter[str] = Counter()
        self._catalogue = catalogue
        self._ids = [frozenset(rule.items) for rule in self.rules]
        self._wanted = [wanted(rule.with_) for rule in self.rules]
        self._about = {rule.name: np.zeros(catalogue.capacity, np.bool_) for rule in self.rules}
        self._slots: dict[str, Slots] = {}
        self._labels: dict[int, Labels] = {}
        self._capped: dict[int, list[Cap]] = {}
        for slot in range(len(catalogue)):
            self.put(slot)

    def put(self, slot: int) -> None:
        """An item has come, or has changed."""
        item_id, own = self._catalogue.ids[slot], labels(self._catalogue.attributes[slot], "", ())
        self._labels[slot] = own
        self._capped.pop(slot, None)
        for number, rule in enumerate(self.rules):
            about = self._about[rule.name]
            if slot >= len(about):
                about = self._about[rule.name] = longer(about, self._catalogue.capacity)
            meant = self._is_about(number, item_id, own)
            if about[slot] != meant:
                about[slot] = meant
                self._slots.pop(rule.name, None)

    def directives(self, traits: bytes, at: float) -> Directives:
        """What the rules say of a list.

        traits  what the user said of themselves, JSON; empty where they did not
        """
        said: Mapping[str, Any] | None = None
        held: list[Rule] = []
        for rule in self.rules:
            if rule.active(at):
                if rule.audience and said is None:
                    said = msgspec.json.decode(traits) if traits else {}
                if not rule.audience or rule.is_for(said or {}):
                    held.append(rule)
        if not held:
            return NONE
        exclude = [rule for rule in held if rule.exclude]
        return Directives(
            excluded=np.concatenate([self.slots(rule) for rule in exclude]) if exclude else NOTHING,
            exclude=exclude,
            boosts=[rule for rule in held if rule.boost is not None],
            caps=[rule for rule in held if rule.cap is not None],
            pins=sorted((rule for rule in held if rule.pin is not None), key=lambda rule: rule.pin or 0),
        )

    def barred(self, traits: bytes | None, at: float) -> Barred:
        """Which items exclusions keep from somebody, in whatever they are shown.

        traits  as above; None where who asks cannot be known now: then what is kept from anybody is kept from them
        """
        said = None if traits is None else msgspec.json.decode(traits) if traits else {}
        held = [
            number
            for number, rule in enumerate(self.rules)
            if rule.exclude and rule.active(at) and (said is None or rule.is_for(said))
        ]
        if not held:
            return nothing
        return lambda item_id, own: any(self._is_about(number, item_id, own) for number in held)

    def _is_about(self, number: int, item_id: str, own: Collection[str]) -> bool:
        ids = self._ids[number]
        return (not ids or item_id in ids) and all(not each.isdisjoint(own) for each in self._wanted[number])

    def slots(self, rule: Rule) -> Slots:
        """The items that the rule is about."""
        if rule.name not in self._slots:
            found: Slots = np.flatnonzero(self._about[rule.name][: len(self._catalogue)]).astype(np.int32)
            self._slots[rule.name] = found
        return self._slots[rule.name]

    def boost(self, directives: Directives, slots: Slots, scores: Floats) -> Floats:
        """The scores of these items, boosted."""
        boosted = scores.copy()
        for rule in directives.boosts:
            boosted[self._about[rule.name][slots]] += np.float32(math.log(rule.boost or 1.0))
        return boosted

    def arrange(
        self,
        directives: Directives,
        order: Iterable[int],
        k: int,
        *,
        last: Sequence[int] = (),
        may_show: Callable[[int], bool],
    ) -> Arranged:
        """The list: the items in order, best first, no more than the caps allow, the pinned in their places.

        last      items for the last places, where the caps allow them
        may_show  whether a pinned item may be in the list: it need not be in the order
        """
        pins = self._pinned(directives.pins, may_show, k)
        pinned = {place: slot for place, (slot, _) in pins.items()}
        full = _Full(directives.caps, self._caps_of, pinned.values())  # a pin counts, but is never left out
        listed: list[int] = []
        kept = {*pinned.values(), *last}
        for slot in order:
            while len(listed) + 1 in pinned:
                listed.append(pinned[len(listed) + 1])
            if len(listed) >= k:
                break
            if slot not in kept and full.admits(slot):
                listed.append(slot)
        listed += [slot for slot in pinned.values() if slot not in listed]
        for slot in last:
            if slot in listed or not full.admits(slot):
                continue
            if len(listed) >= k:
                ranked = [place for place, each in enumerate(listed) if each not in kept]
                if not ranked:
                    break
                del listed[ranked[-1]]
            listed.append(slot)
        self.uses.update({rule.name for rule in directives.exclude} | full.hit)
        self.uses.update(rule.name for _, rule in pins.values())
        self.uses.update(rule.name for rule in directives.boosts if self._about[rule.name][listed].any())
        return Arranged(listed, frozenset(pinned.values()))

    def of(self, slot: int, traits: bytes, at: float) -> dict[str, str]:
        """The rules that hold for an item in a list, and what each does."""
        said = msgspec.json.decode(traits) if traits else {}
        return {
            rule.name: rule.does
            for rule in self.rules
            if self._about[rule.name][slot] and rule.active(at) and rule.is_for(said)
        }

    def _pinned(self, pins: Iterable[Rule], may_show: Callable[[int], bool], k: int) -> dict[int, tuple[int, Rule]]:
        """Place -> item and rule; where two rules want one place, the first of them has it."""
        pinned: dict[int, tuple[int, Rule]] = {}
        for rule in pins:
            place = rule.pin or 0
            taken = {slot for slot, _ in pinned.values()}
            free = (slot for slot in self._in_order(rule) if slot not in taken and may_show(slot))
            if place <= k and place not in pinned and (slot := next(free, None)) is not None:
                pinned[place] = slot, rule
        return pinned

    def _in_order(self, rule: Rule) -> list[int]:
        """The items of a pin: as the rule names them, else the newest first."""
        if rule.items:
            named = [self._catalogue.slot(item_id) for item_id in rule.items]
            return [slot for slot in named if slot >= 0 and self._about[rule.name][slot]]
        newest: list[int] = self.slots(rule)[::-1].tolist()
        return newest

    def _caps_of(self, slot: int) -> Sequence[Cap]:
        """What the item counts for, of all caps; found out once for each item."""
        if slot not in self._capped:
            self._capped[slot] = [
                (rule.name, label)
                for rule in self.rules
                if rule.cap is not None and self._about[rule.name][slot]
                for label in ([each for each in self._labels[slot] if _name(each) == rule.per] if rule.per else [""])
            ]
        return self._capped[slot]


class _Full:
    """Counts items of a list for the caps that hold; `hit` names those that have kept one out."""

    def __init__(self, caps: Iterable[Rule], caps_of: Callable[[int], Sequence[Cap]], there: Iterable[int]) -> None:
        self.hit: set[str] = set()
        self._most = {rule.name: rule.cap or 0 for rule in caps}
        self._caps_of = caps_of
        self._counts: Counter[Cap] = Counter()
        for slot in there:
            self._counts.update(caps_of(slot))

    def admits(self, slot: int) -> bool:
        """Whether no cap keeps the item out; it is counted then."""
        if not self._most:
            return True
        own, counts = self._caps_of(slot), self._counts
        for each in own:
            if each[0] in self._most and counts[each] >= self._most[each[0]]:
                self.hit.add(each[0])
                return False
        counts.update(own)
        return True


def _name(label: str) -> str:
    return label.partition("=")[0]


def _has(value: Any, allowed: Trait) -> bool:
    if isinstance(allowed, Span):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return allowed.or_unknown
        return allowed.least <= value < allowed.below
    return any(each in allowed for each in (value if isinstance(value, list) else [value]))
