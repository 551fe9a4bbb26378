"""What items can be filtered and counted by: their attributes, their language, and which parts they have."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

TAG = "tag"
LANGUAGE = "language"
HAS = "has"

Labels = tuple[str, ...]


def labels(attributes: Sequence[str], language: str, parts: Iterable[str]) -> Labels:
    """`name=value` each: attributes that are no pair themselves have the name `tag`.

    >>> labels(["Comedy", "genre=Drama"], "en", ["image"])
    ('tag=Comedy', 'genre=Drama', 'language=en', 'has=image')
    """
    tags = [each if _is_pair(each) else f"{TAG}={each}" for each in attributes]
    spoken = [f"{LANGUAGE}={language}"] if language else []
    return tuple(dict.fromkeys([*tags, *spoken, *(f"{HAS}={part}" for part in parts)]))


def values(attributes: Sequence[str]) -> list[str]:
    """The attributes as people read them, without names.

    >>> values(["Comedy", "genre=Drama"])
    ['Comedy', 'Drama']
    """
    return [each.partition("=")[2] if _is_pair(each) else each for each in attributes]


def wanted(filters: Mapping[str, Sequence[str]]) -> list[frozenset[str]]:
    """Sets of labels: an item needs one of each set.

    >>> [sorted(each) for each in wanted({"genre": ["Drama", "Comedy"], "has": ["image"]})]
    [['genre=Comedy', 'genre=Drama'], ['has=image']]
    """
    return [frozenset(f"{name}={value}" for value in allowed) for name, allowed in filters.items()]


def counted(items: Iterable[Labels], most: int) -> dict[str, dict[str, int]]:
    """Name -> value -> how many of the items have it, the most frequent `most` of each name.

    >>> counted([("tag=a", "has=image"), ("tag=a",), ("tag=b",)], most=1)
    {'tag': {'a': 2}, 'has': {'image': 1}}
    """
    facets: dict[str, dict[str, int]] = {}
    for label, count in sorted(Counter(each for item in items for each in item).items(), key=lambda one: -one[1]):
        name, _, value = label.partition("=")
        of_name = facets.setdefault(name, {})
        if len(of_name) < most:
            of_name[value] = count
    return facets


def _is_pair(attribute: str) -> bool:
    name, equals, value = attribute.partition("=")
    return bool(name and equals and value)
