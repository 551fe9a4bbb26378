"""What can be set about the recommender."""

from typing import Annotated

import msgspec
from msgspec import Meta

HOUR = 3600.0
DAY = 24 * HOUR
YEAR = 365 * DAY

Share = Annotated[float, Meta(ge=0, le=1)]
EXPERTS = (
    "popular",
    "trending",
    "stage",
    "sequence",
    "similar",
    "moment",
    "neighbours",
    "content",
    "audience",
)
KNOWLEDGE = "knowledge"
"""An expert more, where what is known of items was told."""

EMBEDDING, GRAPH = "embedding", "graph"
"""Experts more, for whom they are worth their cost."""

ALL_EXPERTS = (*EXPERTS, EMBEDDING, GRAPH, KNOWLEDGE)


class ListSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is made by. It may differ from user to user, as nothing that is learned depends on it.

    experts             which of ALL_EXPERTS have a say
    exploration_share   of a list that is given to new items, at its end, rounded down; 0 turns exploration off
    exploration_pool    how many of the newest items are considered
    exploration_enough  an item with this many touches is no longer new
    exploration_spread  of the belief about an item without touches, in units of cosine
    diversity           from 0, none, to 1: what being unlike the items above counts, beside being relevant
    calibration         from 0, none, to 1: what the user's own mix of an attribute counts, beside the rest
    calibration_per     the attribute; 'tag' are those without a name
    exposure_limit      the share of all places of late above which something waits behind the others; 1: no limit
    exposure_per        the attribute whose values are so limited; '' limits each item
    """

    experts: tuple[str, ...] = EXPERTS
    exploration_share: Share = 0.05
    exploration_pool: Annotated[int, Meta(ge=0)] = 200
    exploration_enough: Annotated[float, Meta(ge=0)] = 5.0
    exploration_spread: Annotated[float, Meta(ge=0)] = 0.2
    diversity: Share = 0.0
    calibration: Share = 0.0
    calibration_per: str = "tag"
    exposure_limit: Annotated[float, Meta(gt=0, le=1)] = 1.0
    exposure_per: str = ""

    @property
    def rearranges(self) -> bool:
        """Whether the best are shown in another order than by their scores."""
        return self.diversity > 0 or self.calibration > 0 or self.exposure_limit < 1


class RecommenderSettings(ListSettings, frozen=True, kw_only=True):
    """Defaults were chosen on the first 40% of MovieLens-100k, test-then-learn. Times are in seconds.

    capacity      items that fit before arrays must be copied; memory is taken only for items that come
    proposals     items that each expert may propose
    event_window  event ids remembered, within which a repeat is ignored
    sessions      users whose latest `session_length` items the shared memory holds
    repeats_counted   touches of one item by one user within a day that teach everybody; 0: all of them
    touches_a_minute  of one user that teach in full; of more, each teaches less. 0: all of them
    newcomers_wait    touches of a user that teach nobody, the first
    served        users whose last list's candidates are kept for the ranker to learn from, some 30 KB each
    passed        items that each of them was shown and did not choose, that are remembered
    """

    capacity: int = 131_072
    proposals: int = 120
    event_window: int = 100_000
    sessions: int = 20_000
    session_length: int = 100
    served: int = 2_000
    passed: Annotated[int, Meta(ge=0)] = 100
    repeats_counted: Annotated[int, Meta(ge=0)] = 1
    touches_a_minute: Annotated[float, Meta(ge=0)] = 0.0
    newcomers_wait: Annotated[int, Meta(ge=0)] = 0

    size_half_life: float = YEAR
    past_power: float = 0.35
    proposed_power: float = 0.3

    leaders: int = 1000
    popular_half_life: float = 60 * DAY
    trending_half_life: float = 3 * DAY

    stages: int = 12
    stages_finer: float = 1.5
    stage_half_life: float = 60 * DAY

    covisit_width: int = 256
    covisit_half_life: float = YEAR
    sequence_learned: float = 6.5
    sequence_spoken: float = 3.0
    similar_learned: float = 9.5
    similar_spoken: float = 3.0
    similar_window: int = 40
    moment_seconds: float = 42.0
    moment_window: int = 60

    neighbours_visits: int = 100
    neighbours_depth: int = 20
    neighbours_recency: float = 10.0
    neighbours_speakers: int = 40
    neighbours_nearness: float = 20.0

    content_exact: int = 2048
    audience_half_life: float = 60 * DAY
    audience_considered: int = 300

    embedding_dim: int = 32
    embedding_depth: int = 100
    embedding_half_life: float = 60.0
    embedding_negatives: int = 40
    embedding_recent: int = 500
    embedding_rate: float = 0.1

    graph_learned: float = 9.5
    graph_depth: int = 20
    graph_half_life: float = 5.0
    graph_width: int = 50

    ranker_knots: tuple[float, ...] = (0.0, 4.0, 20.0, 100.0)
    ranker_rate: float = 0.1
    ranker_bias_rate: float = 0.02
    ranker_prior: float = 2.0

    @property
    def defends(self) -> bool:
        """Whether a touch may teach everybody less than its weight."""
        return bool(self.repeats_counted or self.touches_a_minute or self.newcomers_wait)

    def shaping(self) -> str:
        """As JSON, the settings that what is learned depends on in shape or meaning: a snapshot fits no others."""
        names = (
            "experts sessions session_length size_half_life leaders popular_half_life"
            " trending_half_life stages stages_finer stage_half_life covisit_width covisit_half_life neighbours_visits"
            " embedding_dim embedding_recent ranker_knots repeats_counted touches_a_minute newcomers_wait"
        )
        return msgspec.json.encode({name: getattr(self, name) for name in names.split()}).decode()
