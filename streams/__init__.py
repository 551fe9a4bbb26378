"""Anabranch: events in, refreshed recommendation lists out.

The path of the data, and where to read about each step:

    people click, view, upload, tell of themselves      events.py, producer.py, topics.py
      -> Kafka -> Faust agents                          agents.py, app.py
      -> a micro-batch: decode, or dead-letter          pipeline, pipeline/intake.py
      -> uploads: Triton makes vectors, fusion one      pipeline/embedding.py, adapters/triton.py, ../encoders
      -> users: taste and history, in Cassandra         core/taste.py, core/user.py, adapters/cassandra.py
      -> memory shared by all users, learned online     core/memory, adapters/kafka.py (Follower)
      -> candidates, ranked                             pipeline/lists.py, core/recommender.py, core/ranking.py
      -> a refreshed list to `recommendations`          consumer.py
      -> or over HTTP, with a live page                 serve.py, web

    people ask in words, pictures, sounds or speech     events.py, asking.py
      -> vectors and words                              queries.py, search.py, searching.py
      -> the best items, from the same vectors          core/search, adapters/words.py
      -> an answer to `search.results`                  consumer.py
      -> clicks on it teach what each ranking counts    shown.py, core/search/clicks.py, replica.py

    lists are made by the arm of their user             plan.py, core/experiments, pipeline/lists.py
      -> what came of them to `experiments`             experiments.py, web/experiments.py

    people ask to be forgotten, or for what is held     privacy.py
      -> erased by their worker, in turn                pipeline/forgetting.py, adapters/cassandra.py
      -> no list; all workers told; `forgotten`         replica.py, consumer.py

`core` is pure: numbers in, numbers out. `adapters` hold the clients, each behind a Protocol of `ports.py`.
"""

import os
from hashlib import blake2b
from pathlib import Path


def _keep_kernels_of_each_version_apart() -> None:
    """Give numba a cache of its own for these very sources.

    It notices a change of a kernel's own file only, not of the kernels that this one calls from other files: after an
    upgrade, an old cache would go on computing the old thing.
    """
    sources = sorted((Path(__file__).parent / "core").rglob("*.py"))
    digest = blake2b(b"".join(source.read_bytes() for source in sources), digest_size=8).hexdigest()
    cache = Path(os.environ.get("ANABRANCH_CACHE", Path.home() / ".cache" / "anabranch")) / "kernels" / digest
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:  # nowhere to write: numba looks for a place by itself
        return
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache))


_keep_kernels_of_each_version_apart()
