"""What a recommender should beat: the simple and the best of the field, learning from every event like ours.

They are plain rather than fast, and hold all they learn: for comparing on a recorded log, not for serving. Their
numbers were chosen on the first 40% of MovieLens-100k, as the system's were.
"""

from collections.abc import Callable, Sequence

from streams.core.baselines.baseline import Baseline, System
from streams.core.baselines.ease import Ease
from streams.core.baselines.factors import OnlineBpr
from streams.core.baselines.neighbours import Stan, VectorNeighbours
from streams.core.baselines.pairs import ItemCosine, SequentialRules
from streams.core.baselines.popular import Popular, RecentlyPopular

__all__ = ["BASELINES", "Baseline", "System"]

DAY = 86_400.0

BASELINES: dict[str, Callable[[Sequence[str]], Baseline]] = {
    "popular": Popular,
    "recently popular": lambda items: RecentlyPopular(items, half_life=10 * DAY),
    "online BPR": lambda items: OnlineBpr(items, size=32, rate=0.05, decay=0.01, replay=50, recent=20_000, own=10),
    "sequential rules": lambda items: SequentialRules(items, steps=30, depth=20),
    "item cosine": lambda items: ItemCosine(items, window=30, depth=30, half=3),
    "V-SKNN": lambda items: VectorNeighbours(items, visitors=500, neighbours=100, depth=20, half=5),
    "STAN": lambda items: Stan(items, visitors=500, neighbours=50, depth=20, half=5, fresh=60 * DAY, near=10),
    "EASE": lambda items: Ease(items, ridge=300, refit=200, widest=2000, depth=50, half=10),
}
"""Name -> how it is made for a catalogue."""
