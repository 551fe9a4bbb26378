"""One list out of two: whose items are clicked more is better, found with far fewer users than two groups take.

Team draft: Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?", CIKM 2008.
"""

from collections.abc import Sequence
from hashlib import blake2b

from streams.core.recommender import Scored


def team_draft(
    first: Sequence[Scored], second: Sequence[Scored], length: int, seed: str
) -> tuple[list[Scored], list[int]]:
    """Both sides pick in turn their best item that is not taken; who begins each round is drawn by lot.

    seed  the same gives the same list

    Returns the list, and for each item which side picked it: 0 or 1.

    >>> one, other = [Scored(item, 1, "") for item in "abc"], [Scored(item, 1, "") for item in "bcd"]
    >>> made, teams = team_draft(one, other, 4, "ada 1")
    >>> "".join(each.item_id for each in made), teams
    ('abcd', [0, 1, 0, 1])
    """
    lots = int.from_bytes(blake2b(seed.encode(), digest_size=64).digest(), "big")
    sides = (list(reversed(first)), list(reversed(second)))
    made: list[Scored] = []
    teams: list[int] = []
    taken: set[str] = set()
    while len(made) < length:
        ahead = 2 * sum(teams) - len(teams)  # of the second side
        side = lots & 1 if ahead == 0 else int(ahead < 0)
        lots >>= ahead == 0
        for other in sides:
            while other and other[-1].item_id in taken:
                other.pop()
        if not sides[side]:
            side = 1 - side
            if not sides[side]:
                break
        picked = sides[side].pop()
        made.append(picked)
        teams.append(side)
        taken.add(picked.item_id)
    return made, teams
