"""Compiles the recommender's kernels before the first event needs them."""

import numpy as np
from msgspec import structs

from streams.core.history import History
from streams.core.recommender import Interaction, Recommender, RecommenderSettings, UserView
from streams.core.vectors import unit


def warm_up(settings: RecommenderSettings, dim: int) -> None:
    """Run a small world through recommenders that are thrown away: some seconds the first time, then cached on disk.

    dim  of the item vectors that the real one will be given
    """
    for experts in (settings.experts, ("neighbours",)):  # whose reasons a list of all experts may not ask for
        _run(Recommender(structs.replace(settings, experts=experts)), dim)


def _run(recommender: Recommender, dim: int) -> None:
    generator = np.random.default_rng(0)
    vectors = [unit(generator.standard_normal(dim).astype(np.float32)) for _ in range(8)]
    for item, vector in enumerate(vectors):
        recommender.put_item(str(item), vector, float(item), ("tag",))
    for user in ("ada", "bob", "eve"):
        view = UserView(user, History(), None, vectors[0])
        for event in range(4):
            at = 100.0 + event
            interaction = Interaction(f"{user}-{event}", user, str(event), at, 1.0, vectors[0])
            taught = recommender.judge(recommender.rehearsal(), view, interaction)
            recommender.learn(interaction, taught)
            view.history.add(str(event), at, 1.0)
            view.taste = vectors[event]
            recommender.recommend(view, at)
