"""The numbers the pipeline goes by."""

import math
from collections.abc import Mapping

from msgspec import Struct

from streams.core.weighing import weigh
from streams.events import Click, View


class Policy(Struct, frozen=True, kw_only=True):
    """As set; `app` makes it of the settings.

    taste_half_life   seconds until a touch counts half in a user's taste
    modality_weights  modality -> its weight for everybody, before a user's own choices speak
    list_length       items in a list
    remembered        seconds before the latest touch for which a user's history goes back
    dedup_window      event ids remembered for each user
    cached_users      users held in memory between batches
    quality_window    clicks by which the lists are judged live
    quality_trait     of profiles, by whose values these are told apart; empty: none
    typical_dwell     seconds on an item that say as much as if no time was given
    """

    click_weight: float = 1.0
    view_weight: float = 0.2
    taste_half_life: float = 7 * 86_400.0
    modality_weights: Mapping[str, float]
    list_length: int = 20
    remembered: float = math.inf
    dedup_window: int = 1024
    cached_users: int = 50_000
    quality_window: int = 10_000
    quality_trait: str = ""
    typical_dwell: float = 30.0

    def weight(self, event: Click | View) -> float:
        """How much the event says; see `core.weighing`."""
        base = self.click_weight if isinstance(event, Click) else self.view_weight
        return weigh(base, rating=event.rating, dwell_s=event.dwell_s, typical_dwell_s=self.typical_dwell)
