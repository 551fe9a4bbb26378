"""A user's list, made as their arms say."""

from collections.abc import Callable, Mapping

from streams.core.experiments.assignment import Assigned
from streams.core.experiments.interleaving import team_draft
from streams.core.recommender import Advised, Recommender, Scored, UserView

Viewed = Callable[[Mapping[str, float] | None], UserView]


def make(
    recommender: Recommender,
    assigned: Assigned,
    view: Viewed,
    at: float,
    length: int,
    seed: str,
    advised: Advised | None = None,
) -> tuple[list[Scored], list[str]]:
    """The list; and where two are interleaved, for each item the arm that picked it.

    view    the user, by an arm's weights of modalities; None for those of everybody
    at      now, seconds since the epoch
    length  where the arm does not say
    seed    of interleaving; the same gives the same list
    advised what a shipped model says, where nothing is interleaved
    """
    lists = [
        recommender.recommend(view(how.fusion_weights), at, how.list_length or length, how, advised)
        for how in assigned.settings
    ]
    if not assigned.teams:
        return lists[0], []
    first, second = lists
    mixed, sides = team_draft(first, second, max(len(first), len(second)), seed)
    return mixed, [assigned.teams[side] for side in sides]
