"""A user, as somebody who looks for something."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from streams.core.recommender import UserView
from streams.core.search.question import Asker
from streams.core.user import UserState


def asker(user: UserState, weights: Mapping[str, float], likings: Callable[[UserView, float], Sequence[str]]) -> Asker:
    """Who asks; of who allows no profiling there are no likings.

    weights  modality -> how much it speaks for them
    likings  what they would be recommended at a time, see `Recommender.likings`
    """
    known = user.view(weights)
    counts = user.known and user.consent.profiling
    return Asker(known.taste, known.traits, partial(likings, known) if counts else None)
