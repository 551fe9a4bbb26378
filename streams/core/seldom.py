"""What would be said again and again is heard once in a while."""

import math
from collections.abc import Hashable

MOST_LINES = 1_000  # told apart at once


class Seldom:
    """Lets a line through, and withholds the same for a while.

    seconds  of silence after a line

    >>> seldom = Seldom(seconds=10)
    >>> [seldom.due("again", at) for at in (0.0, 1.0, 9.9, 10.0)], seldom.due("another", 1.0)
    ([0, None, None, 2], 0)
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._said: dict[Hashable, tuple[float, int]] = {}  # when it was last let through, and how often not since

    def due(self, line: Hashable, now: float) -> int | None:
        """How often it was withheld since it was last heard; None while it is to be withheld.

        now  seconds of any clock; one that is set back lets the line through
        """
        last, withheld = self._said.get(line, (-math.inf, 0))
        if 0 <= now - last < self._seconds:
            self._said[line] = last, withheld + 1
            return None
        if len(self._said) >= MOST_LINES:
            self._said.clear()
        self._said[line] = now, 0
        return withheld
