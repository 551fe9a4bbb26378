"""How much an interaction says of what a user likes."""

LEAST = 1e-6  # below it a weight is none, so that whatever divides it or takes its logarithm need not care


def weigh(base: float, *, rating: float | None, dwell_s: float | None, typical_dwell_s: float) -> float:
    """The weight of one interaction, which both the memory and the user's taste learn with.

    base             of its kind: 1 for a click, less for a view
    rating           what the user said of it, 0 to 1: the weight is that share of the base
    dwell_s          seconds the user spent on it: none at all says nothing, the typical time as much as if no time was
                     given, and a very long time up to twice that, since what tells a tab left open from attention is
                     only that it is longer (Yi et al., "Beyond clicks: dwell time for personalization", RecSys 2014)
    typical_dwell_s  seconds, above 0

    It depends on nothing but the interaction, so that events may come late, twice or in another order.

    >>> [weigh(1.0, rating=None, dwell_s=seconds, typical_dwell_s=30) for seconds in (None, 0, 30, 60, 86_400)]
    [1.0, 0.0, 1.0, 1.5, 2.0]
    >>> [weigh(0.2, rating=rating, dwell_s=None, typical_dwell_s=30) for rating in (0.5, 1e-300)]
    [0.1, 0.0]
    """
    weight = base
    if rating is not None:
        weight *= rating
    if dwell_s is not None:
        weight *= 2 * (1 - 2 ** (-dwell_s / typical_dwell_s))
    return weight if weight >= LEAST else 0.0
